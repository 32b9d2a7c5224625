//! What is done: each use case as one request about a user of its own, who is signed in on two devices.

use relatch::operator::{Command, RevokeTarget, Secret};
use relatch_testkit::browser::{ACCESS, REFRESH};
use relatch_testkit::{Answer, Device, PASSWORD, TestApp};
use serde_json::{Value, json};

use super::call::Call;

/// A password that nobody has yet.
pub(super) const NEW: &str = "a long walk on the pier";

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
    SignInOver,
    Create,
    Register,
    CommandRevoke,
    CommandDisable,
    CommandSetPassword,
    CommandDelete,
    CommandCreate,
}

use Kind::*;

/// Those that end sessions whatever state they are in.
pub(super) const ENDS: [Kind; 12] = [
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
    CommandRevoke,
];
/// Those that change a user, or end sessions by something else that they do.
pub(super) const CHANGES: [Kind; 16] = [
    Disable,
    Roles,
    Attributes,
    SetPassword,
    Delete,
    ChangePassword,
    ResetPassword,
    SignInBeyond,
    SignInAgain,
    SignInOver,
    Create,
    Register,
    CommandDisable,
    CommandSetPassword,
    CommandDelete,
    CommandCreate,
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
            SignInBeyond | SignInAgain | SignInOver => "POST /login",
            Create => "POST /admin/users",
            Register => "POST /register",
            CommandRevoke => "SessionRevoke",
            CommandDisable => "UserDisable",
            CommandSetPassword => "UserPasswd",
            CommandDelete => "UserDelete",
            CommandCreate => "UserAdd",
        }
    }

    /// What tells in the audit trail that it was done, besides the sessions that end.
    pub(super) const fn record(self) -> Option<&'static str> {
        match self {
            Disable | Roles | Attributes | CommandDisable => Some("user_changed"),
            SetPassword | ChangePassword | ResetPassword | CommandSetPassword => Some("password_changed"),
            Delete | CommandDelete => Some("user_deleted"),
            Create | Register | CommandCreate => Some("user_created"),
            _ => None,
        }
    }

    pub(super) const fn creates(self) -> bool {
        matches!(self, Create | Register | CommandCreate)
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
                Create | Register | CommandCreate => answer.status == 409,
                // The operator names the user, and nobody has the name any more.
                CommandDelete => answer.status == 404,
                _ => false,
            }
    }

    pub(super) async fn prepare(self, app: &TestApp, name: &str) -> Act {
        if self.creates() {
            let admin = app.admin().await;
            let body = json!({"username": name, "password": PASSWORD});
            let call = match self {
                Create => Call::new("POST", "/admin/users", Some(&admin), body),
                CommandCreate => Call::command(&Command::UserAdd {
                    username: name.to_owned(),
                    roles: vec![],
                    attributes: [].into(),
                    password: Secret::new(PASSWORD),
                }),
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
            | AdminEndOne | Reuse | ChangePassword | SignInOver => (vec![first], vec![second], vec![]),
            RevokeUser | RevokeUsername | AdminEndAll | Disable | SetPassword | Delete | ResetPassword
            | CommandRevoke | CommandDisable | CommandSetPassword | CommandDelete => {
                (vec![first, second], vec![], vec![])
            }
            Roles | Attributes => (vec![], vec![first, second], vec![]),
            SignInBeyond | SignInAgain => (vec![first], vec![], vec![second]),
            Create | Register | CommandCreate => unreachable!(),
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
                let body = json!({"refresh_token": stolen.pair.refresh});
                Call::new("POST", "/token/refresh", Some(&stolen), body)
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
            SignInAgain => {
                second.delete("/sessions").await.expect(204);
                sign_in_again(app, first, name, name).await
            }
            SignInOver => {
                let other = format!("{name}-other");
                app.user(&other).await;
                first.post("/logout", &json!({"refresh_token": first.pair.refresh})).await.expect(204);
                sign_in_again(app, first, name, &other).await
            }
            CommandRevoke | CommandDisable | CommandSetPassword | CommandDelete => self.command(name),
            Create | Register | CommandCreate => unreachable!(),
        }
    }

    fn command(self, name: &str) -> Call {
        let user = name.to_owned();
        Call::command(&match self {
            CommandRevoke => Command::SessionRevoke { target: RevokeTarget::User(user), reason: None },
            CommandDisable => Command::UserDisable { user, force: false },
            CommandSetPassword => Command::UserPasswd { user, password: Secret::new(NEW) },
            CommandDelete => Command::UserDelete { user, force: false },
            _ => unreachable!(),
        })
    }
}

/// A sign-in, as `then`, of a browser that was signed in before, and whose earlier session is `first` from now on.
async fn sign_in_again(app: &TestApp, first: &mut Device, name: &str, then: &str) -> Call {
    let browser = app.browse(name, "cookie").await;
    first.session_id.clone_from(&browser.session_id);
    first.pair.access = browser.cookie(ACCESS);
    first.pair.refresh = String::new();
    let body = json!({"username": then, "password": PASSWORD, "delivery": "cookie"});
    Call::new("POST", "/login", None, body).with_cookies(format!("{REFRESH}={}", browser.cookie(REFRESH)))
}

impl Act {
    /// Whether what it changes about the user is so; nothing if it changes nothing but sessions.
    pub(super) async fn is_applied(&self, app: &TestApp) -> Option<bool> {
        let admin = app.admin().await;
        let user = async || admin.get(&format!("/admin/users/{}", self.user)).await;
        Some(match self.kind {
            Disable | CommandDisable => user().await.ok()["disabled"] == true,
            Roles => user().await.ok()["roles"] == json!(["keeper"]),
            Attributes => user().await.ok()["attributes"] == json!({"desk": "7"}),
            SetPassword | ChangePassword | ResetPassword | CommandSetPassword => {
                app.login(&self.name, NEW).await.status == 200
            }
            Delete | CommandDelete => user().await.status == 404,
            Create | Register | CommandCreate => app.login(&self.name, PASSWORD).await.status == 200,
            _ => return None,
        })
    }
}
