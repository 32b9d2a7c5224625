//! A server as its clients reach it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
pub use reqwest::RequestBuilder;

use crate::answer::Answer;
use crate::launch::Launched;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that listens somewhere.
#[derive(Debug, Clone)]
pub struct Node {
    base: String,
    client: reqwest::Client,
    pub(crate) launched: Option<Arc<Launched>>,
    pub(crate) socket: Option<PathBuf>,
}

impl Node {
    /// The server at this address.
    pub fn at(base: String) -> Self {
        Self::with_agent(base, "relatch-testkit")
    }

    /// The same, asked by another agent.
    pub fn with_agent(base: String, agent: &str) -> Self {
        let client = reqwest::Client::builder()
            .user_agent(agent)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { base, client, launched: None, socket: None }
    }

    /// `http://` and the address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where it takes the operator's commands: a Unix socket, if the settings name one.
    pub fn socket(&self) -> &Path {
        self.socket.as_deref().expect("the settings name a socket")
    }

    /// A request with any method.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request("GET", path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request("POST", path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request("DELETE", path)
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let name = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        Answer::read(name, response).await
    }

    /// Waits until the server says that it is ready.
    pub async fn until_ready(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.send(self.get("/health/ready")).await.status != 200 {
            assert!(std::time::Instant::now() < deadline, "not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A request body that comes in pieces, without its length.
pub fn stream<S, B, E>(pieces: S) -> reqwest::Body
where
    S: futures_util::TryStream<Ok = B, Error = E> + Send + 'static,
    B: Into<bytes::Bytes> + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    reqwest::Body::wrap_stream(futures_util::TryStreamExt::map_ok(pieces, Into::<bytes::Bytes>::into))
}
