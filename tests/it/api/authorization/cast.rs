//! Everybody who calls, and what they call about.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relatch::keys::signing::{Algorithm, SigningKey};
use relatch_domain::base64url;
use relatch_testkit::forge::{claims_of, unsigned};
use relatch_testkit::{Device, Forger, On, PASSWORD, TestApp};
use serde_json::{Value, json};

/// Somebody who may call, and tokens of the same kind of user that are good no more.
pub(super) struct Holder {
    /// The device of the live token.
    pub(super) device: Device,
    pub(super) live: String,
    pub(super) refresh: String,
    /// Good in all but its end.
    pub(super) expired: String,
    /// Signed with a key that is not the server's.
    pub(super) forged: String,
    /// Of the algorithm `none`.
    pub(super) unsigned: String,
    /// Of a session of this user that never was.
    pub(super) never_begun: String,
    /// Of a session of this user that an administrator has ended.
    pub(super) revoked: String,
    /// Of a session of this user that has signed out.
    pub(super) signed_out: String,
    /// Of another such user, who was disabled.
    pub(super) disabled: String,
    /// Of another such user, who was deleted.
    pub(super) deleted: String,
}

/// Everybody.
pub(super) struct Cast {
    pub(super) app: TestApp,
    /// Whose objects are called about. Has the role `user`.
    pub(super) user: Holder,
    /// Another session of the same user.
    pub(super) other_session: String,
    /// An administrator.
    pub(super) chief: Holder,
    /// Somebody with roles that sound like it.
    pub(super) auditor: String,
    pub(super) auditor_id: String,
    /// Under the server's own signature: the user, with the role `admin`.
    pub(super) pretender: String,
    /// An administrator until a moment ago; the access token still says so.
    pub(super) demoted: String,
    pub(super) name: String,
    ids: Vec<String>,
    made: AtomicUsize,
}

impl Cast {
    pub(super) async fn on(on: On) -> Self {
        Self::of(on.set("registration.enabled", "true").start().await, 0).await
    }

    /// The same app with everybody new: what was called about has changed.
    pub(super) async fn again(self) -> Self {
        Self::of(self.app, self.made.into_inner()).await
    }

    async fn of(app: TestApp, made: usize) -> Self {
        let mut casting = Casting { forger: Forger::of(&app).await, app, made, ids: Vec::new() };
        let name = if made == 0 { "ada".to_owned() } else { casting.name() };
        let user = casting.holder(&name, &["user"]).await;
        let chief_name = casting.name();
        let chief = casting.holder(&chief_name, &["admin", "user"]).await;
        let other_session = casting.app.sign_in(&name).await.session_id;
        let auditor = casting.signed_in(&["user", "administrator", "admin2", "xadmin", "admin.x"]).await;
        let demoted = casting.signed_in(&["admin"]).await;
        casting.change(&demoted.user_id, json!({ "roles": ["user"] })).await;
        let mut claims = claims_of(&user.live);
        claims["roles"] = json!(["admin", "user"]);
        let pretender = casting.forger.token(casting.forger.header(), claims);
        let Casting { app, made, ids, .. } = casting;
        Self {
            app,
            other_session,
            chief,
            user,
            auditor: auditor.pair.access,
            auditor_id: auditor.user_id,
            pretender,
            demoted: demoted.pair.access,
            name,
            ids,
            made: AtomicUsize::new(made),
        }
    }

    /// A name that nobody has.
    pub(super) fn new_name(&self) -> String {
        name(self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// The path of a route, about the user's objects.
    pub(super) fn fill(&self, route: &str) -> String {
        let of_user = route.starts_with("/admin/users/");
        let id = if of_user { &self.user.device.user_id } else { &self.other_session };
        route
            .replace("{id}", id)
            .replace("{sid}", &self.other_session)
            .replace("{code}", "invalid_token")
            .replace("{file:.*}", "docs.js")
    }

    /// What a call could have changed: users, their sessions, keys and cutoff.
    pub(super) async fn state(&self) -> Value {
        let admin = self.app.admin().await;
        let mut state = Vec::new();
        for path in ["/admin/users?limit=200", "/admin/keys"] {
            state.push(admin.get(path).await.ok());
        }
        state.push(admin.get("/admin/stats").await.ok()["cutoff"].clone());
        for id in &self.ids {
            let answer = admin.get(&format!("/admin/users/{id}/sessions")).await;
            if answer.status == 200 {
                let sessions = answer.json()["items"].as_array().unwrap().clone();
                state.extend(sessions.into_iter().map(|session| session["session_id"].clone()));
            }
        }
        state.into()
    }
}

fn name(number: usize) -> String {
    format!("person{number}")
}

struct Casting {
    app: TestApp,
    forger: Forger,
    made: usize,
    ids: Vec<String>,
}

impl Casting {
    fn name(&mut self) -> String {
        self.made += 1;
        name(self.made - 1)
    }

    async fn user(&mut self, name: &str, roles: &[&str]) -> String {
        let body = json!({ "username": name, "password": PASSWORD, "roles": roles });
        let created = self.app.admin().await.post("/admin/users", &body).await.expect(201).json();
        let id = created["id"].as_str().unwrap().to_owned();
        self.ids.push(id.clone());
        id
    }

    async fn signed_in(&mut self, roles: &[&str]) -> Device {
        let name = self.name();
        self.user(&name, roles).await;
        self.app.sign_in(&name).await
    }

    async fn change(&self, id: &str, patch: Value) {
        self.app.admin().await.patch(&format!("/admin/users/{id}"), &patch).await.ok();
    }

    async fn holder(&mut self, name: &str, roles: &[&str]) -> Holder {
        self.user(name, roles).await;
        let admin = self.app.admin().await;
        let device = self.app.sign_in(name).await;
        let revoked = self.app.sign_in(name).await;
        admin.post("/admin/revoke", &json!({ "session_id": revoked.session_id })).await.ok();
        let signed_out = self.app.sign_in(name).await;
        signed_out.sign_out().await.expect(204);
        let disabled = self.signed_in(roles).await;
        self.change(&disabled.user_id, json!({ "disabled": true })).await;
        let deleted = self.signed_in(roles).await;
        admin.delete(&format!("/admin/users/{}", deleted.user_id)).await.expect(204);
        let live = device.pair.access.clone();
        let header = self.forger.header();
        let claiming = |name: &str, value: Value| {
            let mut claims = claims_of(&live);
            claims[name] = value;
            claims
        };
        let stranger = SigningKey::generate(Algorithm::ES256, relatch::ambient::Random).unwrap();
        let stranger = Forger::with(Arc::new(stranger));
        let mut session = base64url::decode(&device.session_id).unwrap();
        session[31] ^= 1;
        Holder {
            expired: self.forger.token(&header, claiming("exp", json!(1))),
            forged: stranger.token(&header, claims_of(&live)),
            unsigned: format!("{}.", unsigned(json!({"typ": "at+jwt", "alg": "none"}), claims_of(&live))),
            never_begun: self.forger.token(&header, claiming("sid", json!(base64url::encode(&session)))),
            revoked: revoked.pair.access,
            signed_out: signed_out.pair.access,
            disabled: disabled.pair.access,
            deleted: deleted.pair.access,
            refresh: device.pair.refresh.clone(),
            live,
            device,
        }
    }
}
