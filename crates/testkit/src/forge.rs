//! Tokens under the server's own signature that say whatever a test wants: what somebody could send who had the key.

use std::sync::Arc;

use relatch::keys::ring::KeyRing;
use relatch::keys::signing::SigningKey;
use relatch::startup::Parts;
use relatch_domain::base64url;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::launch::variable;

/// Signs with a key of the server.
#[derive(Debug, Clone)]
pub struct Forger(Arc<SigningKey>);

impl Forger {
    /// With the key by which the server signs.
    pub async fn of(app: &TestApp) -> Self {
        let ring = ring_of(app).await;
        let kid = ring.minting_key().kid();
        let key = ring.keys().iter().find(|key| key.signing.kid() == kid).expect("the minting key");
        Self(Arc::clone(&key.signing))
    }

    /// One for each key of the server.
    pub async fn all_of(app: &TestApp) -> Vec<Self> {
        ring_of(app).await.keys().iter().map(|key| Self(Arc::clone(&key.signing))).collect()
    }

    /// With a key that is not the server's.
    pub const fn with(key: Arc<SigningKey>) -> Self {
        Self(key)
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        self.0.kid()
    }

    /// The public key as it is published, if it is.
    pub fn public_jwk(&self) -> Option<Value> {
        self.0.public_jwk()
    }

    /// The header of the server's own tokens.
    pub fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": self.0.algorithm().name(), "kid": self.kid()})
    }

    /// A token with exactly this header and these claims. The texts need not be JSON.
    pub fn token(&self, header: impl ToString, claims: impl ToString) -> String {
        let signed = unsigned(header, claims);
        let signature = self.0.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", base64url::encode(&signature))
    }
}

/// What a signature of a token with this header and these claims is over.
#[expect(
    clippy::needless_pass_by_value,
    reason = "values, references to them and literals read alike in tests"
)]
pub fn unsigned(header: impl ToString, claims: impl ToString) -> String {
    let part = |text: String| base64url::encode(text.as_bytes());
    format!("{}.{}", part(header.to_string()), part(claims.to_string()))
}

/// The claims of a token, unverified.
pub fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&base64url::decode(payload).expect("base64url")).expect("JSON")
}

/// The keys in the server's store, opened with the master key that the tests give to every server.
async fn ring_of(app: &TestApp) -> Arc<KeyRing> {
    let mut settings = app.settings().clone();
    let copy = tempfile::tempdir().expect("a temporary directory");
    let url = settings.get_mut("store.url").expect("a store");
    if let Some(path) = url.strip_prefix("redb:") {
        // The server has the file to itself; its commits are all in it.
        let beside = copy.path().join("copy.redb");
        std::fs::copy(path, &beside).expect("a copy of the store");
        *url = format!("redb:{}", beside.display());
    }
    let environment: Vec<_> = settings.iter().map(|(key, value)| (variable(key), value.clone())).collect();
    let settings = relatch::settings::load(None, environment).expect("settings").settings;
    let opened = Parts::open(&settings, None).await.expect("the store opens").plain_app();
    opened.keys.reload(&*opened.store, opened.clock.now()).await.expect("keys")
}
