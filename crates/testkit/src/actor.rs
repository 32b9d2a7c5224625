//! Tests speak as people: a device that signs in, refreshes and signs out.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::node::Node;

/// The password of everyone in the tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// An attempt key. As a constant it serves one refresh of a session and its retries.
pub const KEY: &str = "attempt-key-of-22-chars";
/// Another attempt key.
pub const OTHER_KEY: &str = "another-key-of-22-chars";

/// A pair of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

impl Pair {
    /// The pair in the body of a sign-in or a refresh.
    #[track_caller]
    pub fn of(body: &Value) -> Self {
        let token =
            |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        Self { access: token("access_token"), refresh: token("refresh_token") }
    }
}

/// A device on which somebody is signed in. Clones share nothing: they are copies of the device's storage.
#[derive(Debug, Clone)]
pub struct Device {
    /// The server that the device talks to.
    pub node: Node,
    /// The tokens in its storage.
    pub pair: Pair,
    /// The session's public id.
    pub session_id: String,
    /// The user's id.
    pub user_id: String,
}

impl Device {
    /// Signs in.
    #[track_caller]
    pub fn signed_in(node: &Node, body: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("in {body}")).to_owned();
        Self {
            node: node.clone(),
            pair: Pair::of(body),
            session_id: text(&body["session_id"]),
            user_id: text(&body["user"]["id"]),
        }
    }

    /// Sends a refresh without taking the answer into the storage: as if the answer was lost.
    pub async fn send_refresh(&self, attempt: Option<&str>) -> Answer {
        let mut request = self
            .node
            .post("/token/refresh")
            .bearer_auth(&self.pair.access)
            .json(&json!({ "refresh_token": self.pair.refresh }));
        if let Some(attempt) = attempt {
            request = request.header("Idempotency-Key", attempt);
        }
        self.node.send(request).await
    }

    /// Refreshes; a success goes into the storage.
    pub async fn refresh(&mut self) -> Answer {
        self.refresh_as(None).await
    }

    /// Refreshes with an attempt key; a success goes into the storage.
    pub async fn refresh_as(&mut self, attempt: Option<&str>) -> Answer {
        let answer = self.send_refresh(attempt).await;
        if answer.status == 200 {
            self.pair = Pair::of(&answer.json());
        }
        answer
    }

    /// Signs out with both tokens.
    pub async fn sign_out(&self) -> Answer {
        let request = self
            .node
            .post("/logout")
            .bearer_auth(&self.pair.access)
            .json(&json!({ "refresh_token": self.pair.refresh }));
        self.node.send(request).await
    }

    /// Asks whether it is signed in.
    pub async fn check(&self) -> Answer {
        self.get("/auth/check").await
    }

    /// A GET with the access token.
    pub async fn get(&self, path: &str) -> Answer {
        self.node.send(self.node.get(path).bearer_auth(&self.pair.access)).await
    }

    /// A POST with the access token.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.node.send(self.node.post(path).bearer_auth(&self.pair.access).json(body)).await
    }

    /// A PUT with the access token.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.node.send(self.node.request("PUT", path).bearer_auth(&self.pair.access).json(body)).await
    }

    /// A PATCH with the access token.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = self.node.request("PATCH", path).bearer_auth(&self.pair.access);
        self.node.send(request.json(body)).await
    }

    /// A DELETE with the access token.
    pub async fn delete(&self, path: &str) -> Answer {
        self.node.send(self.node.delete(path).bearer_auth(&self.pair.access)).await
    }
}
