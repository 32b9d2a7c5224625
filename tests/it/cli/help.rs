//! `docs/commands.md` is what `--help` says.

use std::fmt::Write as _;
use std::path::Path;

use super::{done, relatch};

/// Every command that has a help of its own.
const COMMANDS: [&[&str]; 35] = [
    &[],
    &["serve"],
    &["user"],
    &["user", "add"],
    &["user", "list"],
    &["user", "show"],
    &["user", "passwd"],
    &["user", "reset"],
    &["user", "unblock"],
    &["user", "role"],
    &["user", "role", "add"],
    &["user", "role", "remove"],
    &["user", "disable"],
    &["user", "enable"],
    &["user", "import"],
    &["user", "export"],
    &["user", "delete"],
    &["session"],
    &["session", "list"],
    &["session", "explain"],
    &["session", "revoke"],
    &["key"],
    &["key", "list"],
    &["key", "rotate"],
    &["key", "generate"],
    &["store"],
    &["store", "adopt"],
    &["store", "copy"],
    &["log"],
    &["log", "level"],
    &["doctor"],
    &["audit", "tail"],
    &["config"],
    &["config", "show"],
    &["config", "check"],
];

const HEAD: &str = "# The command line

What `relatch … --help` says, for reading at leisure. A test keeps this page true; to write it anew after a change, run it
with `WRITE_DOCS=1`: `WRITE_DOCS=1 cargo test --test it -- cli::help`.

[operator-tour.md](operator-tour.md) shows the commands at work.
";

#[test]
fn the_reference_is_what_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut page = HEAD.to_owned();
    for command in COMMANDS {
        let help = done(relatch(dir.path(), &[command, &["--help"]].concat(), ""));
        let name = [&["relatch"], command].concat().join(" ");
        write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page, "run this test with WRITE_DOCS=1");
}

#[test]
fn every_command_is_in_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let mut groups = vec![vec![]];
    let mut leaves = 0;
    while let Some(group) = groups.pop() {
        let arguments: Vec<_> = group.iter().map(String::as_str).chain(["--help"]).collect();
        let help = done(relatch(dir.path(), &arguments, ""));
        let listed = help.split("Commands:\n").nth(1).unwrap_or_default().lines();
        let names =
            listed.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
        let names: Vec<_> = names.filter(|name| *name != "help").map(str::to_owned).collect();
        if names.is_empty() {
            leaves += 1;
            assert!(COMMANDS.iter().any(|command| **command == *group), "{group:?}");
        }
        groups.extend(names.into_iter().map(|name| [&group[..], &[name]].concat()));
    }
    assert_eq!(leaves, 27);
}
