//! What is asked of somebody at a terminal, and what becomes of output that nobody reads.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Place, complaints, done, failed};

/// Runs a command at a terminal on which somebody types.
fn at_a_terminal(mut command: Command, typed: &str) -> Output {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    File::from(ours.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
    let child = command.stdin(Stdio::from(theirs)).spawn().unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn a_deletion_is_confirmed_by_typing_the_name() {
    let place = Place::embedded().await;
    let id = place.app.user("ada").await;
    place.app.sign_in("ada").await;
    let asked = format!("This deletes ada ({id}), with 1 live session, for good.\nType ada to go on: ");
    for typed in ["yes\n", "\n", "\u{4}"] {
        let message = failed(at_a_terminal(place.command(&["user", "delete", "ada"]), typed), 1);
        assert_eq!(message, format!("{asked}relatch: not confirmed; nothing was done\n"), "{typed:?}");
    }
    assert_eq!(place.object(&["user", "show", "ada"])["live_sessions"], 1);
    let output = at_a_terminal(place.command(&["user", "delete", &id]), "ada\n");
    assert_eq!(complaints(output.stderr.clone()), asked);
    assert_eq!(done(output), format!("ada deleted ({id})\n"));
    place.fails(&["user", "show", &id], 1);
}

#[tokio::test]
async fn signing_everyone_out_is_confirmed() {
    let place = Place::embedded().await;
    let command = || place.command(&["session", "revoke", "--signed-in-before", "2026-01-01T00:00:00Z"]);
    let message = failed(at_a_terminal(command(), "y\n"), 1);
    assert!(
        message.starts_with("This signs out everyone who signed in before 2026-01-01T00:00:00Z.\n"),
        "{message}"
    );
    let said = done(at_a_terminal(command(), "everyone\n"));
    assert_eq!(said, "everyone who signed in before 2026-01-01T00:00:00Z is signed out\n");
}

#[tokio::test]
async fn a_reader_who_has_read_enough_is_no_failure_to_tell_of() {
    let place = Place::embedded().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = place.command(&["user", "list"]).stdout(writer).spawn().unwrap();
    let mut said = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    child.wait().unwrap();
    assert_eq!(complaints(said), "");
}
