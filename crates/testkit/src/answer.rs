//! What a server answered, and what a test expects of it.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request, for messages.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// Reads a response.
    pub async fn read(request: String, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{request}: body: {error}"));
        Self { request, status, headers, text }
    }

    /// What came over something else than HTTP, with the status that HTTP has for it.
    pub fn of(request: String, status: u16, text: String) -> Self {
        Self { request, status, headers: HeaderMap::new(), text }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{self:?}: not JSON: {error}"))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("header is ASCII"))
    }

    /// The cookies that the answer sets, as they stand in it.
    pub fn set_cookies(&self) -> Vec<&str> {
        let values = self.headers.get_all("set-cookie").iter();
        values.map(|value| value.to_str().expect("a cookie is ASCII")).collect()
    }

    /// A success with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.request, self.text);
        self
    }

    /// A success with status 200, as JSON.
    #[track_caller]
    pub fn ok(self) -> Value {
        self.expect(200).json()
    }

    /// A problem of this status and code, in the form that all problems have (RFC 9457), which sets no cookie. Gives its
    /// body.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.set_cookies(), Vec::<&str>::new(), "{}\n{}", self.request, self.text);
        self.problem_that_may_set_cookies(status, code)
    }

    /// The same for the one problem that has a reason to set one.
    #[track_caller]
    pub fn problem_that_may_set_cookies(self, status: u16, code: &str) -> Value {
        let shown = format!("{}\n{} {}", self.request, self.status, self.text);
        assert_eq!(self.status, status, "{shown}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{shown}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{shown}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{shown}");
        let is_open = self.header("access-control-allow-origin").is_some();
        let policy = self.header("cross-origin-resource-policy");
        assert_eq!(policy, (!is_open).then_some("same-origin"), "{shown}");
        let body = self.json();
        assert_eq!(body["error"], code, "{shown}");
        assert_eq!(body["status"], status, "{shown}");
        assert_eq!(body["type"], format!("/errors/{code}"), "{shown}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{shown}");
        assert_eq!(body["instance"].as_str(), self.header("x-request-id"), "{shown}");
        let challenge = self.header("www-authenticate");
        assert_eq!(challenge.is_some(), status == 401 || code == "insufficient_scope", "{shown}");
        assert!(challenge.is_none_or(|challenge| challenge.starts_with("Bearer")), "{shown}");
        assert_eq!(self.header("retry-after").is_some(), matches!(status, 429 | 503), "{shown}");
        body
    }
}
