//! What is done: each use case as one request about a user of its own, who is signed in on two devices.

use relatch_testkit::browser::{ACCESS, REFRESH};
use relatch_testkit::{Answer, Device, Node, PASSWORD, TestApp};
use serde_json::{Value, json};

/// A password that nobody has yet.
pub(super) const NEW: &str = "a long walk on the pier";

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: &'static str,
    path: String,
    bearer: Option<String>,
    cookies: Option<String>,
    body: Value,
}

impl Call {
    pub(super) fn new(method: &'static str, path: &str, bearer: Option<&Device>, body: Value) -> Self {
        let bearer = bearer.map(|device| device.pair.access.clone());
        Self { method, path: path.to_owned(), bearer, cookies: None, body }
    }

    /// Nothing if the node is gone before it answers.
    pub(super) async fn try_send(&self, node: &Node) -> Option<Answer> {
        let mut request = node.request(self.method, &self.path);
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(cookies) = &self.cookies {
            request = request.header("Cookie", cookies).header("Sec-Fetch-Site", "same-origin");
        }
        if !self.body.is_null() {
            request = request.json(&self.body);
        }
        let response = request.send().await.ok()?;
        Some(Answer::read(format!("{} {}", self.method, self.path), response).await)
    }

    pub(super) async fn send(&self, node: &Node) -> Answer {
        self.try_send(node).await.expect("an answer")
    }
}

/// A use case as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SignOut,
    RevokeSession,
    RevokeUser,
    RevokeUsername,
    RevokeRefreshToken,
    RevokeAccessToken,
    EndOthers,
    EndOwn,
    AdminEndAll,
    AdminEndOne,
    Reuse,
    Disable,
    Roles,
    Attributes,
    SetPassword,
    Delete,
    ChangePassword,
    ResetPassword,
    SignInBeyond,
    SignInAgain,
    Create,
    Register,
}

use Kind::*;

/// Those that end sessions whatever state they are in.
pub(super) const ENDS: [Kind; 11] = [
    SignOut,
    RevokeSession,
    RevokeUser,
    RevokeUsername,
    RevokeRefreshToken,
    RevokeAccessToken,
    EndOthers,
    EndOwn,
    AdminEndAll,
    AdminEndOne,
    Reuse,
];
/// Those that change a user, or end sessions by something else that they do.
pub(super) const CHANGES: [Kind; 11] = [
    Disable,
    Roles,
    Attributes,
    SetPassword,
    Delete,
    ChangePassword,
    ResetPassword,
    SignInBeyond,
    SignInAgain,
    Create,
    Register,
];

/// A request about a user.
pub(super) struct Act {
    pub(super) kind: Kind,
    pub(super) user: String,
    pub(super) name: String,
    pub(super) call: Call,
    /// Those whose sessions end by it, all of them or none.
    pub(super) victims: Vec<Device>,
    /// Those who stay signed in.
    pub(super) spared: Vec<Device>,
    /// Those whom a repetition may sign out.
    pub(super) others: Vec<Device>,
}

impl Kind {
    /// Its row in the table.
    pub(super) const fn route(self) -> &'static str {
        match self {
            SignOut => "POST /logout",
            RevokeSession | RevokeUser | RevokeUsername | RevokeRefreshToken | RevokeAccessToken => {
                "POST /admin/revoke"
            }
            EndOthers => "DELETE /sessions",
            EndOwn => "DELETE /sessions/{id}",
            AdminEndAll => "DELETE /admin/users/{id}/sessions",
            AdminEndOne => "DELETE /admin/users/{id}/sessions/{sid}",
            Reuse => "POST /token/refresh",
            Disable | Roles | Attributes | SetPassword => "PATCH /admin/users/{id}",
            Delete => "DELETE /admin/users/{id}",
            ChangePassword => "PUT /password",
            ResetPassword => "POST /password/reset",
            SignInBeyond | SignInAgain => "POST /login",
            Create => "POST /admin/users",
            Register => "POST /register",
        }
    }

    /// What tells in the audit trail that it was done, besides the sessions that end.
    pub(super) const fn record(self) -> Option<&'static str> {
        match self {
            Disable | Roles | Attributes => Some("user_changed"),
            SetPassword | ChangePassword | ResetPassword => Some("password_changed"),
            Delete => Some("user_deleted"),
            Create | Register => Some("user_created"),
            _ => None,
        }
    }

    pub(super) const fn creates(self) -> bool {
        matches!(self, Create | Register)
    }

    /// Whether an answer says that it is done.
    pub(super) fn is_done(self, answer: &Answer) -> bool {
        match self {
            Reuse => answer.status == 401,
            _ => matches!(answer.status, 200 | 201 | 204),
        }
    }

    /// Whether a repetition may be answered so, though it is done: what a second request of the same kind would find.
    pub(super) fn is_answer_to_repetition(self, answer: &Answer) -> bool {
        self.is_done(answer)
            || match self {
                ChangePassword => answer.status == 401 && answer.text.contains("invalid_credentials"),
                ResetPassword => answer.status == 400 && answer.text.contains("invalid_reset_token"),
                Create | Register => answer.status == 409,
                _ => false,
            }
    }

    pub(super) async fn prepare(self, app: &TestApp, name: &str) -> Act {
        if self.creates() {
            let admin = app.admin().await;
            let body = json!({"username": name, "password": PASSWORD});
            let call = match self {
                Create => Call::new("POST", "/admin/users", Some(&admin), body),
                _ => Call::new("POST", "/register", None, body),
            };
            let (user, name) = (String::new(), name.to_owned());
            return Act { kind: self, user, name, call, victims: vec![], spared: vec![], others: vec![] };
        }
        let user = app.user(name).await;
        let mut first = app.sign_in(name).await;
        let second = app.sign_in(name).await;
        let call = self.call(app, &mut first, &second, name).await;
        let (victims, spared, others) = match self {
            SignOut | RevokeSession | RevokeRefreshToken | RevokeAccessToken | EndOthers | EndOwn
            | AdminEndOne | Reuse | ChangePassword => (vec![first], vec![second], vec![]),
            RevokeUser | RevokeUsername | AdminEndAll | Disable | SetPassword | Delete | ResetPassword => {
                (vec![first, second], vec![], vec![])
            }
            Roles | Attributes => (vec![], vec![first, second], vec![]),
            SignInBeyond | SignInAgain => (vec![first], vec![], vec![second]),
            Create | Register => unreachable!(),
        };
        Act { kind: self, user, name: name.to_owned(), call, victims, spared, others }
    }

    async fn call(self, app: &TestApp, first: &mut Device, second: &Device, name: &str) -> Call {
        let admin = app.admin().await;
        let user = format!("/admin/users/{}", first.user_id);
        let revoke = |body: Value| Call::new("POST", "/admin/revoke", Some(&admin), body);
        let edit = |body: Value| Call::new("PATCH", &user, Some(&admin), body);
        let remove = |path: String, by: &Device| Call::new("DELETE", &path, Some(by), Value::Null);
        let session = first.session_id.clone();
        match self {
            SignOut => {
                let body = json!({"refresh_token": first.pair.refresh});
                Call::new("POST", "/logout", Some(first), body)
            }
            RevokeSession => revoke(json!({"session_id": session})),
            RevokeUser => revoke(json!({"user_id": first.user_id})),
            RevokeUsername => revoke(json!({"username": name})),
            RevokeRefreshToken => revoke(json!({"refresh_token": first.pair.refresh})),
            RevokeAccessToken => revoke(json!({"access_token": first.pair.access})),
            EndOthers => remove("/sessions".to_owned(), second),
            EndOwn => remove(format!("/sessions/{session}"), second),
            AdminEndAll => remove(format!("{user}/sessions"), &admin),
            AdminEndOne => remove(format!("{user}/sessions/{session}"), &admin),
            Reuse => {
                let stolen = first.clone();
                first.refresh().await.ok();
                first.refresh().await.ok();
                Call::new(
                    "POST",
                    "/token/refresh",
                    Some(&stolen),
                    json!({"refresh_token": stolen.pair.refresh}),
                )
            }
            Disable => edit(json!({"disabled": true})),
            Roles => edit(json!({"roles": ["keeper"]})),
            Attributes => edit(json!({"attributes": {"desk": "7"}})),
            SetPassword => edit(json!({"password": NEW})),
            Delete => remove(user, &admin),
            ChangePassword => {
                let body = json!({"current_password": PASSWORD, "new_password": NEW});
                Call::new("PUT", "/password", Some(second), body)
            }
            ResetPassword => {
                let issued = admin.post(&format!("{user}/reset"), &json!({})).await.expect(201).json();
                let body = json!({"reset_token": issued["reset_token"], "new_password": NEW});
                Call::new("POST", "/password/reset", None, body)
            }
            SignInBeyond => {
                Call::new("POST", "/login", None, json!({"username": name, "password": PASSWORD}))
            }
            SignInAgain => self.sign_in_again(app, first, second, name).await,
            Create | Register => unreachable!(),
        }
    }

    /// A sign-in of a browser that was signed in before, and whose earlier session is `first` from now on.
    async fn sign_in_again(self, app: &TestApp, first: &mut Device, second: &Device, name: &str) -> Call {
        second.delete("/sessions").await.expect(204);
        let browser = app.browse(name, "cookie").await;
        first.session_id.clone_from(&browser.session_id);
        first.pair.access = browser.cookie(ACCESS);
        first.pair.refresh = String::new();
        let body = json!({"username": name, "password": PASSWORD, "delivery": "cookie"});
        let cookies = Some(format!("{REFRESH}={}", browser.cookie(REFRESH)));
        Call { cookies, ..Call::new("POST", "/login", None, body) }
    }
}

impl Act {
    /// Whether what it changes about the user is so; nothing if it changes nothing but sessions.
    pub(super) async fn is_applied(&self, app: &TestApp) -> Option<bool> {
        let admin = app.admin().await;
        let user = async || admin.get(&format!("/admin/users/{}", self.user)).await;
        Some(match self.kind {
            Disable => user().await.ok()["disabled"] == true,
            Roles => user().await.ok()["roles"] == json!(["keeper"]),
            Attributes => user().await.ok()["attributes"] == json!({"desk": "7"}),
            SetPassword | ChangePassword | ResetPassword => app.login(&self.name, NEW).await.status == 200,
            Delete => user().await.status == 404,
            Create | Register => app.login(&self.name, PASSWORD).await.status == 200,
            _ => return None,
        })
    }
}
