//! The walls between the rooms: who may know whom. `docs/architecture.md` says why.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The lines of code in which a word stands as a path's beginning, outside the folders and files that may know it.
fn trespassers(folder: &str, words: &[&str], may: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let files = rust_files(&root().join(folder));
    assert!(!files.is_empty(), "{folder} has no Rust files");
    for file in files {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if may.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| names(code, word)) {
                found.push(format!("{name}:{}: {code}", number + 1));
            }
        }
    }
    found
}

/// Whether a line names a path that begins with `word`, not merely a longer path that contains it.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn only_http_and_startup_know_actix() {
    let actix = ["actix_web::", "actix_http::", "actix_rt::", "actix_server::", "actix_service::"];
    let found = trespassers("src", &actix, &["src/http/", "src/startup"]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_redis_store_knows_redis() {
    let found = trespassers("src", &["redis::", "deadpool_redis::"], &["src/store/redis"]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_embedded_store_knows_redb() {
    let found = trespassers("src", &["redb::"], &["src/store/embedded"]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn use_cases_and_stores_do_not_know_http() {
    for folder in ["src/app", "src/store", "src/keys"] {
        assert_eq!(trespassers(folder, &["crate::http", "crate::startup"], &[]), Vec::<String>::new());
    }
}

#[test]
fn handlers_reach_the_store_through_use_cases_only() {
    for folder in ["src/http", "src/operator"] {
        assert_eq!(trespassers(folder, &["app.store"], &[]), Vec::<String>::new());
    }
}

#[test]
fn the_domain_does_no_io_and_asks_for_no_time_or_dice() {
    let io = [
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "aws_lc_rs::rand",
        "tokio",
        "println!",
        "eprintln!",
    ];
    assert_eq!(trespassers("crates/domain/src", &io, &[]), Vec::<String>::new());

    let manifest = fs::read_to_string(root().join("crates/domain/Cargo.toml")).unwrap();
    let dependencies: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect();
    let pure = [
        "aws-lc-rs",
        "base64",
        "icu_casemap",
        "icu_properties",
        "proptest",
        "serde",
        "serde_json",
        "thiserror",
        "unicode-normalization",
        "unicode-security",
        "uuid",
        "zeroize",
    ];
    assert_eq!(dependencies, pure, "a new dependency of the domain: is it pure?");
}

#[test]
fn files_are_short_enough_to_live_in() {
    let mut long = Vec::new();
    for folder in ["src", "crates", "tests", "bench"] {
        for file in rust_files(&root().join(folder)) {
            let code = fs::read_to_string(&file).unwrap();
            let lines =
                code.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"));
            let count = lines.count();
            if count > 400 {
                long.push(format!("{}: {count} lines of code", file.display()));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn the_check_itself_sees_a_trespasser() {
    assert!(names("use redis::Client;", "redis::"));
    assert!(names("let x = redis::cmd(\"GET\");", "redis::"));
    assert!(!names("use crate::store::redis::Backend;", "redis::"));
    assert!(!names("deadpool_redis::Pool", "redis::"));
}
