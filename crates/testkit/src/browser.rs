//! Tests speak as people: somebody who signs in with a browser.

use std::collections::BTreeMap;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::actor::PASSWORD;
use crate::answer::Answer;
use crate::node::Node;

/// The cookie with the access token.
pub const ACCESS: &str = "__Host-relatch-at";
/// The cookie with the copy of the access token that only a refresh reads.
pub const PAIR: &str = "__Host-relatch-pair";
/// The cookie with the refresh token.
pub const REFRESH: &str = "__Host-relatch-rt";

/// The cookie by which the device is known.
pub const DEVICE: &str = "__Host-relatch-device";

/// A browser with a page that talks to the server. Clones share nothing: they are copies of the browser's storage.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The server that the page talks to.
    pub node: Node,
    /// `Sec-Fetch-Site` of the page's requests.
    pub fetch_site: Option<String>,
    /// `Origin` of the page's requests.
    pub origin: Option<String>,
    /// The cookies that it keeps for the server.
    pub jar: BTreeMap<String, String>,
    /// The access token in the page's memory, sent as a Bearer token.
    pub memory: Option<String>,
    /// The public id of the session that was signed in last.
    pub session_id: String,
}

impl Browser {
    /// A new browser, with a page of the server's own origin.
    pub fn at(node: &Node) -> Self {
        Self {
            node: node.clone(),
            fetch_site: Some("same-origin".to_owned()),
            origin: None,
            jar: BTreeMap::new(),
            memory: None,
            session_id: String::new(),
        }
    }

    /// The same browser with a page whose requests say this about where they come from.
    #[must_use]
    pub fn from(&self, fetch_site: Option<&str>, origin: Option<&str>) -> Self {
        let [fetch_site, origin] = [fetch_site, origin].map(|value| value.map(str::to_owned));
        Self { fetch_site, origin, ..self.clone() }
    }

    /// Not a browser at all: it says nothing about where its requests come from.
    #[must_use]
    pub fn as_program(&self) -> Self {
        self.from(None, None)
    }

    /// A cookie that it keeps.
    #[track_caller]
    pub fn cookie(&self, name: &str) -> String {
        self.jar.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.jar.keys())).clone()
    }

    /// The names of the cookies with tokens that it keeps: not the device's, which outlives them.
    pub fn cookies(&self) -> Vec<&str> {
        self.jar.keys().map(String::as_str).filter(|name| *name != DEVICE).collect()
    }

    /// Signs in; what comes is kept.
    pub async fn sign_in(&mut self, name: &str, delivery: &str) -> Answer {
        let body = json!({"username": name, "password": PASSWORD, "delivery": delivery});
        let answer = self.send(self.node.post("/login").json(&body)).await;
        if answer.status == 200 {
            let body = answer.json();
            self.session_id = body["session_id"].as_str().map(str::to_owned).expect("a session");
        }
        answer
    }

    /// Refreshes; what comes is kept.
    pub async fn refresh(&mut self) -> Answer {
        self.refresh_as(None).await
    }

    /// Refreshes with an attempt key; what comes is kept.
    pub async fn refresh_as(&mut self, attempt: Option<&str>) -> Answer {
        let mut request = self.node.post("/token/refresh");
        if let Some(attempt) = attempt {
            request = request.header("Idempotency-Key", attempt);
        }
        self.send(request).await
    }

    /// Signs out.
    pub async fn sign_out(&mut self) -> Answer {
        self.send(self.node.post("/logout")).await
    }

    /// Asks whether it is signed in.
    pub async fn check(&mut self) -> Answer {
        self.get("/auth/check").await
    }

    /// A GET.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(self.node.get(path)).await
    }

    /// A POST with a JSON body.
    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(self.node.post(path).json(body)).await
    }

    /// A DELETE.
    pub async fn delete(&mut self, path: &str) -> Answer {
        self.send(self.node.delete(path)).await
    }

    /// Sends a request as its page would; cookies and an access token that come are kept.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let memory = self.memory.as_ref().map(|token| format!("Bearer {token}"));
        let headers = [
            ("Sec-Fetch-Site", self.fetch_site.clone()),
            ("Origin", self.origin.clone()),
            ("Cookie", Some(cookies.join("; ")).filter(|cookies| !cookies.is_empty())),
            ("Authorization", memory),
        ];
        let request = headers.into_iter().fold(request, |request, (name, value)| match value {
            Some(value) => request.header(name, value),
            None => request,
        });
        let answer = self.node.send(request).await;
        for cookie in answer.set_cookies() {
            self.keep(cookie);
        }
        if answer.status == 200
            && let Ok(Value::Object(body)) = serde_json::from_str(&answer.text)
            && let Some(token) = body.get("access_token").and_then(Value::as_str)
        {
            self.memory = Some(token.to_owned());
        }
        answer
    }

    /// The page is loaded anew: its memory is gone.
    pub fn reload(&mut self) {
        self.memory = None;
    }

    /// Takes a cookie in as browsers do (RFC 6265bis, section 5.7): one that breaks the promise of its prefix, or that is
    /// too long, would be dropped without a word.
    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("name and value");
        let attributes: Vec<_> = parts.collect();
        let has = |attribute: &str| attributes.contains(&attribute);
        assert!(name.starts_with("__Host-") && has("Secure") && has("Path=/"), "{cookie}");
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")), "{cookie}");
        assert!(name.len() + 1 + value.len() <= 4096, "{cookie}");
        if has("Max-Age=0") {
            self.jar.remove(name);
        } else {
            self.jar.insert(name.to_owned(), value.to_owned());
        }
    }
}
