//! Whom the forgeries are tried on.

use std::time::{Duration, Instant};

use relatch_testkit::forge::claims_of;
use relatch_testkit::{Answer, Device, Forger, On, TestApp};
use serde_json::{Value, json};

/// An honest device, an administrator, and somebody with the server's own key.
pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) ada: Device,
    pub(super) admin: Device,
    pub(super) forger: Forger,
    pub(super) header: Value,
    pub(super) claims: Value,
}

impl Stage {
    pub(super) async fn set(on: On) -> Self {
        Self::on(on.start().await).await
    }

    pub(super) async fn on(app: TestApp) -> Self {
        app.user("ada").await;
        let (ada, admin, forger) = (app.sign_in("ada").await, app.admin().await, Forger::of(&app).await);
        let (header, claims) = (forger.header(), claims_of(&ada.pair.access));
        Self { app, ada, admin, forger, header, claims }
    }

    /// The header with one member more, or another value of it.
    pub(super) fn header_with(&self, name: &str, value: Value) -> Value {
        with(&self.header, name, value)
    }

    /// A token of the server's own key with one claim more, or another value of it.
    pub(super) fn claiming(&self, name: &str, value: Value) -> String {
        self.forger.token(&self.header, with(&self.claims, name, value))
    }

    pub(super) async fn bearer(&self, method: &str, path: &str, token: &str) -> Answer {
        self.app.node.send(self.app.node.request(method, path).bearer_auth(token)).await
    }

    async fn in_cookie(&self, method: &str, path: &str, token: &str) -> Answer {
        let request = self.app.node.request(method, path).header("Sec-Fetch-Site", "same-origin");
        self.app.node.send(request.header("Cookie", format!("__Host-relatch-at={token}"))).await
    }

    /// The answer to a sign-out and to a refresh with this access token and the honest refresh token.
    pub(super) async fn beside_the_refresh_token(&self, path: &str, token: &str) -> Answer {
        let body = json!({"refresh_token": self.ada.pair.refresh});
        self.app.node.send(self.app.node.post(path).bearer_auth(token).json(&body)).await
    }

    pub(super) async fn revoked_by_admin(&self, token: &str) -> Answer {
        self.admin.post("/admin/revoke", &json!({"access_token": token})).await
    }

    /// Waits until the server knows the key of a good token: it looks for unknown ones at most once a second.
    pub(super) async fn until_known(&self, token: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.bearer("GET", "/auth/check", token).await.status != 200 {
            assert!(Instant::now() < deadline, "the key is never known");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nobody is let in by the token.
    pub(super) async fn lets_nobody_in(&self, token: &str, code: &str) {
        let places = [
            ("GET", "/auth/check"),
            ("GET", "/auth/check?live=true"),
            ("GET", "/sessions"),
            ("DELETE", "/sessions"),
            ("DELETE", "/sessions?include_current=true"),
            ("POST", "/logout"),
            ("GET", "/me"),
            ("PUT", "/password"),
            ("GET", "/sessions/x/timeline"),
            ("GET", "/admin/users/x/timeline"),
            ("GET", "/admin/users"),
            ("POST", "/admin/revoke"),
        ];
        for (method, path) in places {
            self.bearer(method, path, token).await.problem(401, code);
            self.in_cookie(method, path, token).await.problem(401, code);
        }
    }

    /// Besides, it makes no pair with the honest refresh token and names no session.
    pub(super) async fn is_worth_nothing(&self, token: &str) {
        self.lets_nobody_in(token, "invalid_token").await;
        for path in ["/token/refresh", "/logout"] {
            self.beside_the_refresh_token(path, token).await.problem(401, "invalid_token");
        }
        self.revoked_by_admin(token).await.problem(404, "not_found");
    }

    /// The honest device notices nothing of all this.
    pub(super) async fn and_ada_goes_on(mut self) {
        self.ada.check().await.ok();
        self.ada.refresh().await.ok();
        self.ada.get("/sessions").await.ok();
    }
}

pub(super) fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

pub(super) fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name).unwrap();
    object
}
