//! The table: every route, who may call it, and a call that does something.

use relatch_testkit::PASSWORD;
use serde_json::{Value, json};

use super::cast::Cast;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everybody. Tokens are not looked at.
    Public,
    /// Whoever has a good access token; the store is not asked.
    Token,
    /// Whoever has the tokens of a session: a refresh token, or both.
    Pair,
    /// Whose session the store knows to be alive.
    Session,
    /// Who besides is an administrator now.
    Admin,
}

/// A route.
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) gate: Gate,
    /// The status for those who may call.
    pub(super) success: u16,
    /// Whether a call changes what `Cast::state` sees.
    pub(super) changes: bool,
    /// Whether the path names something that belongs to one user: for others it is not there.
    pub(super) owned: bool,
    /// The body of a call that does something.
    pub(super) body: fn(&Cast) -> Value,
}

const fn row(method: &'static str, path: &'static str, gate: Gate, success: u16) -> Row {
    Row { method, path, gate, success, changes: false, owned: false, body: |_| Value::Null }
}

impl Row {
    const fn changes(self) -> Self {
        Self { changes: true, ..self }
    }

    const fn owned(self) -> Self {
        Self { owned: true, ..self }
    }

    const fn with(self, body: fn(&Cast) -> Value) -> Self {
        Self { body, ..self }
    }
}

fn password_change(_: &Cast) -> Value {
    json!({ "current_password": PASSWORD, "new_password": "a long walk on the pier" })
}

fn new_user(cast: &Cast) -> Value {
    json!({ "username": cast.new_name(), "password": PASSWORD, "roles": ["admin"] })
}

pub(super) const TABLE: &[Row] = &[
    row("GET", "/", Gate::Public, 200),
    row("GET", "/.well-known/jwks.json", Gate::Public, 200),
    row("GET", "/errors/{code}", Gate::Public, 200),
    row("GET", "/openapi.json", Gate::Public, 200),
    row("GET", "/docs", Gate::Public, 200),
    row("GET", "/docs/{file:.*}", Gate::Public, 200),
    row("GET", "/health/live", Gate::Public, 200),
    row("GET", "/health/ready", Gate::Public, 200),
    row("POST", "/login", Gate::Public, 200)
        .changes()
        .with(|cast| json!({ "username": cast.name, "password": PASSWORD })),
    row("POST", "/register", Gate::Public, 201)
        .changes()
        .with(|cast| json!({ "username": cast.new_name(), "password": PASSWORD })),
    // Its token is the credential, and this is none.
    row("POST", "/password/reset", Gate::Public, 400)
        .with(|_| json!({ "reset_token": "rlp1_", "new_password": PASSWORD })),
    row("POST", "/token/refresh", Gate::Pair, 200).with(|cast| json!({ "refresh_token": cast.user.refresh })),
    row("POST", "/logout", Gate::Pair, 204).changes(),
    row("GET", "/auth/check", Gate::Token, 200),
    row("GET", "/me", Gate::Session, 200),
    row("PUT", "/password", Gate::Session, 200).changes().with(password_change),
    row("GET", "/sessions", Gate::Session, 200),
    row("DELETE", "/sessions", Gate::Session, 204).changes(),
    row("DELETE", "/sessions/{id}", Gate::Session, 204).changes().owned(),
    row("GET", "/sessions/{id}/timeline", Gate::Session, 200).owned(),
    row("GET", "/admin/users", Gate::Admin, 200),
    row("POST", "/admin/users", Gate::Admin, 201).changes().with(new_user),
    row("GET", "/admin/users/{id}", Gate::Admin, 200),
    row("PATCH", "/admin/users/{id}", Gate::Admin, 200)
        .changes()
        .with(|_| json!({ "roles": ["admin"], "disabled": true, "password": "a long walk on the pier" })),
    row("DELETE", "/admin/users/{id}", Gate::Admin, 204).changes(),
    row("GET", "/admin/users/{id}/sessions", Gate::Admin, 200),
    row("DELETE", "/admin/users/{id}/sessions", Gate::Admin, 204).changes(),
    row("DELETE", "/admin/users/{id}/sessions/{sid}", Gate::Admin, 204).changes(),
    row("GET", "/admin/users/{id}/failures", Gate::Admin, 200),
    // Nobody has failed: there is nothing to forget.
    row("DELETE", "/admin/users/{id}/failures", Gate::Admin, 204),
    // Nothing changes until the token is used.
    row("POST", "/admin/users/{id}/reset", Gate::Admin, 201),
    row("GET", "/admin/users/{id}/timeline", Gate::Admin, 200),
    row("POST", "/admin/revoke", Gate::Admin, 200).changes().with(|cast| json!({ "username": cast.name })),
    row("GET", "/admin/stats", Gate::Admin, 200),
    row("GET", "/admin/audit", Gate::Admin, 200),
    row("GET", "/admin/keys", Gate::Admin, 200),
    row("POST", "/admin/keys/rotate", Gate::Admin, 201).changes(),
];
