//! A signed-in device: its pair of tokens, and the requests that it makes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::connection::{Broken, Connection};
use super::response::Response;

/// The pair that a device holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    username: String,
    access_token: String,
    refresh_token: String,
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    refresh_token: Cow<'a, str>,
}

#[derive(Serialize)]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
}

/// Why a sign-in gave no session.
#[derive(Debug, thiserror::Error)]
pub enum SignInFailed {
    /// The server does not want to.
    #[error("{username} cannot sign in: {answer}")]
    Refused {
        /// Who.
        username: String,
        /// The server's answer.
        answer: String,
    },
    /// There was no answer.
    #[error("{username} cannot sign in: {source}")]
    Broken {
        /// Who.
        username: String,
        /// Why.
        source: Broken,
    },
}

impl Session {
    /// Signs in by `POST /login`.
    ///
    /// # Errors
    /// If the answer is not a pair.
    pub async fn sign_in(
        connection: &mut Connection,
        host: SocketAddr,
        username: &str,
        password: &str,
    ) -> Result<Self, SignInFailed> {
        let request = Self::sign_in_request(host, username, password);
        let response = connection
            .exchange(request.as_bytes())
            .await
            .map_err(|source| SignInFailed::Broken { username: username.to_owned(), source })?;
        pair(&response)
            .map(|pair| Self {
                username: username.to_owned(),
                access_token: pair.access_token.into_owned(),
                refresh_token: pair.refresh_token.into_owned(),
            })
            .ok_or_else(|| SignInFailed::Refused {
                username: username.to_owned(),
                answer: summary(&response),
            })
    }

    /// The request that signs in.
    pub fn sign_in_request(host: SocketAddr, username: &str, password: &str) -> String {
        let body = serde_json::to_string(&Credentials { username, password }).unwrap_or_default();
        post(host, "/login", &[], &body)
    }

    /// Whose it is.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The request that asks whether the access token is good.
    pub fn check_request(&self, host: SocketAddr) -> String {
        let token = &self.access_token;
        format!("GET /auth/check HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
    }

    /// The request that signs this session out.
    pub fn sign_out_request(&self, host: SocketAddr) -> String {
        let authorization = ("Authorization", format_args!("Bearer {}", self.access_token));
        post(host, "/logout", &[authorization], &format!("{{\"refresh_token\":\"{}\"}}", self.refresh_token))
    }

    /// The request that refreshes this session, with an attempt key if there is one.
    pub fn refresh_request(&self, host: SocketAddr, attempt: Option<&str>) -> String {
        let authorization = ("Authorization", format_args!("Bearer {}", self.access_token));
        // A refresh token is base64url: nothing in it needs escaping.
        let body = format!("{{\"refresh_token\":\"{}\"}}", self.refresh_token);
        match attempt {
            None => post(host, "/token/refresh", &[authorization], &body),
            Some(key) => {
                let key = ("Idempotency-Key", format_args!("{key}"));
                post(host, "/token/refresh", &[authorization, key], &body)
            }
        }
    }

    /// Takes the new pair out of the answer. Says whether there was one; without it the session is of no use.
    pub fn take(&mut self, response: &Response) -> bool {
        let Some(pair) = pair(response) else { return false };
        self.access_token.clear();
        self.access_token.push_str(&pair.access_token);
        self.refresh_token.clear();
        self.refresh_token.push_str(&pair.refresh_token);
        true
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

/// Status and the beginning of the body: an error has no token in it.
pub fn summary(response: &Response) -> String {
    let body: String = String::from_utf8_lossy(&response.body).chars().take(400).collect();
    if response.status == 200 {
        // A success may hold tokens, even when it is not the answer that was asked for.
        "200 without a pair".to_owned()
    } else {
        format!("{} {body}", response.status)
    }
}

fn pair(response: &Response) -> Option<Pair<'_>> {
    if response.status == 200 { serde_json::from_slice(&response.body).ok() } else { None }
}

fn post(host: SocketAddr, path: &str, headers: &[(&str, std::fmt::Arguments<'_>)], body: &str) -> String {
    let mut request = String::with_capacity(2048);
    // Writing to a string cannot fail.
    let _ = write!(request, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let _ = write!(request, "Content-Length: {}\r\n\r\n{body}", body.len());
    request
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::load) fn session() -> Session {
        Session { username: "ada".to_owned(), access_token: "a".to_owned(), refresh_token: "r".to_owned() }
    }

    pub(in crate::load) fn response(status: u16, body: &str) -> Response {
        Response { status, body: body.as_bytes().to_vec(), last: false, retry_after: None }
    }

    #[test]
    fn a_refresh_carries_both_tokens_and_the_attempt_key() {
        let host = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(
            session().refresh_request(host, Some("key")),
            "POST /token/refresh HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\n\
             Authorization: Bearer a\r\nIdempotency-Key: key\r\nContent-Length: 21\r\n\r\n{\"refresh_token\":\"r\"}"
        );
        assert!(!session().refresh_request(host, None).contains("Idempotency-Key"));
    }

    #[test]
    fn the_new_pair_takes_the_place_of_the_old_one() {
        let mut session = session();
        let answer = r#"{"access_token":"b","token_type":"Bearer","refresh_token":"s","user":null}"#;
        assert!(session.take(&response(200, answer)));
        assert_eq!(
            session,
            Session {
                username: "ada".to_owned(),
                access_token: "b".to_owned(),
                refresh_token: "s".to_owned()
            }
        );
    }

    #[test]
    fn anything_but_a_pair_leaves_the_session_alone() {
        let pair = r#"{"access_token":"b","refresh_token":"s"}"#;
        let before = session();
        for wrong in [response(401, pair), response(200, "{}"), response(200, "")] {
            let mut session = before.clone();
            assert!(!session.take(&wrong));
            assert_eq!(session, before);
        }
    }

    #[test]
    fn no_token_shows_in_a_complaint() {
        let stray = r#"{"access_token":"b","refresh":"s"}"#;
        assert_eq!(summary(&response(200, stray)), "200 without a pair");
        assert_eq!(summary(&response(409, "{\"error\":1}")), "409 {\"error\":1}");
    }
}
