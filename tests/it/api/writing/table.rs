//! The table: every use case that writes, what it writes, and how it is tried here.

use std::collections::BTreeSet;

use relatch::http::routes;
use relatch::operator::{Command, RevokeTarget};

use super::acts::{CHANGES, ENDS};
use super::everyone::FOR_ALL;
use super::kills::EMBEDDED;

/// What a use case writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    EndsSessions,
    ChangesUser,
    Creates,
    Cutoff,
    Keys,
    /// Nothing that any node would have to be told of.
    Unannounced,
    Nothing,
}

/// How it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// Cut off at each of its writes, killed there, and repeated.
    Throughout,
    /// The same but for the kills: it concerns everyone, or it cannot be told later whether it was done.
    ByCuts,
    /// By this row, whose use case it calls.
    As(&'static str),
    /// In another place, or not at all: where, or why.
    Not(&'static str),
}

use Tried::{As, ByCuts, Not, Throughout};
use Writes::{ChangesUser, Creates, Cutoff, EndsSessions, Keys, Nothing, Unannounced};

type Row = (&'static str, Writes, Tried);

const ROUTES: &[Row] = &[
    ("POST /login", EndsSessions, Throughout),
    ("POST /token/refresh", EndsSessions, Throughout),
    ("POST /logout", EndsSessions, Throughout),
    ("POST /register", Creates, Throughout),
    ("PUT /password", ChangesUser, Throughout),
    ("POST /password/reset", ChangesUser, Throughout),
    ("DELETE /sessions", EndsSessions, Throughout),
    ("DELETE /sessions/{id}", EndsSessions, Throughout),
    ("POST /admin/users", Creates, Throughout),
    ("PATCH /admin/users/{id}", ChangesUser, Throughout),
    ("DELETE /admin/users/{id}", EndsSessions, Throughout),
    ("DELETE /admin/users/{id}/sessions", EndsSessions, Throughout),
    ("DELETE /admin/users/{id}/sessions/{sid}", EndsSessions, Throughout),
    (
        "DELETE /admin/users/{id}/failures",
        Unannounced,
        Not("one delete of counts, which every node reads from the store"),
    ),
    ("POST /admin/users/{id}/reset", Unannounced, Not("writes an audit record only, and fails if that does")),
    ("POST /admin/revoke", EndsSessions, Throughout),
    ("POST /admin/keys/rotate", Keys, ByCuts),
];

macro_rules! named {
    ($enum:ident, $name:ident, $rows:ident, $($variant:ident: $writes:expr, $tried:expr;)*) => {
        /// Does not compile when there is one that the table lacks.
        const fn $name(one: &$enum) -> &'static str {
            match one { $($enum::$variant { .. } => stringify!($variant),)* }
        }
        const $rows: &[Row] = &[$((stringify!($variant), $writes, $tried)),*];
    };
}

named! { Command, command, COMMANDS,
    UserAdd: Creates, Throughout;
    UserList: Nothing, Not("reads");
    UserShow: Nothing, Not("reads");
    UserPasswd: ChangesUser, Throughout;
    UserReset: Unannounced, As("POST /admin/users/{id}/reset");
    UserUnblock: Unannounced, As("DELETE /admin/users/{id}/failures");
    UserRoles: ChangesUser, As("PATCH /admin/users/{id}");
    UserDisable: ChangesUser, Throughout;
    UserEnable: ChangesUser, As("UserDisable");
    UserDelete: EndsSessions, Throughout;
    UserImport: Creates, ByCuts;
    UserExport: Nothing, Not("reads, and keeps an audit record");
    SessionList: Nothing, Not("reads");
    SessionExplain: Nothing, Not("reads");
    SessionRevoke: EndsSessions, Throughout;
    KeyList: Nothing, Not("reads");
    KeyRotate: Keys, ByCuts;
    LogLevel: Nothing, Not("of this node alone");
    StoreAdopt: Unannounced, Not("what a node writes to a store that it adopts is in restored.rs and swapped.rs");
    AuditPage: Nothing, Not("reads");
}

named! { RevokeTarget, target, TARGETS,
    Session: EndsSessions, As("POST /admin/revoke");
    User: EndsSessions, As("POST /admin/revoke");
    Token: EndsSessions, As("POST /admin/revoke");
    Client: Cutoff, As("POST /admin/revoke");
    SignedInBefore: Cutoff, As("POST /admin/revoke");
}

const TASKS: &[Row] = &[
    ("rotation of keys by age", Keys, As("POST /admin/keys/rotate")),
    (
        "sweep of a cutoff",
        Unannounced,
        Not("makes tombstones of sessions that the cutoff has ended already: cutoff.rs"),
    ),
    (
        "restoring after a failover",
        EndsSessions,
        Not("writes what was announced before: restored.rs, failover.rs"),
    ),
    ("finishing operations", EndsSessions, Not("what all tests here rely on")),
    ("histories of sessions", Unannounced, Not("of what is not ordinary, for timelines only: timeline.rs")),
    ("a better hash at a sign-in", Unannounced, Not("the same password: rehash.rs")),
];

#[test]
fn every_route_that_writes_is_in_the_table() {
    let served: BTreeSet<String> = routes::table()
        .into_iter()
        .flat_map(|(path, methods)| methods.into_iter().map(move |method| (method, path)))
        .filter(|(method, _)| !matches!(method.as_str(), "GET" | "HEAD"))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let listed: BTreeSet<String> = ROUTES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(served, listed);
}

#[test]
fn every_row_is_tried_as_it_says() {
    let kinds = || ENDS.iter().chain(&CHANGES);
    let tried: BTreeSet<_> = kinds().map(|kind| kind.route()).chain(FOR_ALL.iter().copied()).collect();
    let listed: BTreeSet<_> = ROUTES
        .iter()
        .chain(COMMANDS)
        .filter(|(.., tried)| matches!(tried, Throughout | ByCuts))
        .map(|(name, ..)| *name)
        .collect();
    assert_eq!(tried, listed);
    for (name, writes, tried) in ROUTES.iter().chain(COMMANDS).chain(TARGETS).chain(TASKS) {
        match tried {
            As(other) => assert!(ROUTES.iter().chain(COMMANDS).any(|(row, ..)| row == other), "{name}"),
            Not(why) => assert!(!why.is_empty(), "{name}"),
            Throughout | ByCuts => assert_ne!(*writes, Nothing, "{name}"),
        }
    }
    for kind in EMBEDDED {
        assert!(kinds().any(|other| *other == kind));
    }
    assert_eq!(command(&Command::KeyList), "KeyList");
    assert_eq!(target(&RevokeTarget::User(String::new())), "User");
}
