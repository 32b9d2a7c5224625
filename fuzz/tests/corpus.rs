//! Every input of the corpus is looked at without a fuzzer: what was found once stays found.

use std::fs;
use std::path::Path;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 8] = [
    ("access_token", relatch_fuzz::access_token::look_at),
    ("connection", relatch_fuzz::connection::look_at),
    ("device_token", relatch_fuzz::device_token::look_at),
    ("forwarded", relatch_fuzz::forwarded::look_at),
    ("http", relatch_fuzz::http::look_at),
    ("password_hash", relatch_fuzz::password_hash::look_at),
    ("refresh_token", relatch_fuzz::refresh_token::look_at),
    ("session_record", relatch_fuzz::session_record::look_at),
];

#[test]
fn every_input_of_the_corpus_keeps_its_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, look_at) in TARGETS {
        let mut inputs = 0;
        for file in fs::read_dir(corpus.join(name)).expect("a corpus for every target") {
            let file = file.expect("a file").path();
            println!("{}", file.display());
            look_at(&fs::read(file).expect("an input"));
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}

#[test]
fn a_corpus_is_of_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for directory in fs::read_dir(corpus).expect("the corpus") {
        let name = directory.expect("a directory").file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "no target is named {}", name.display());
    }
}
