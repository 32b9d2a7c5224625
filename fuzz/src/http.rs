//! A request to the main listener, routes and middleware and a store and all: what follows the parsing of HTTP itself,
//! which is actix's.
//!
//! The input is text that one can read and write: `METHOD /path`, lines `Name: value`, an empty line, the body. Genuine
//! tokens stand in it by name ([`NAMES`]); a sign-in is made for an input that asks for one.

use std::cell::RefCell;
use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::LazyLock;

use actix_web::body::{self, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::{StatusCode, Uri, header};
use actix_web::rt::{System, SystemRunner};
use actix_web::test;
use futures_util::future::LocalBoxFuture;
use relatch::http::error::Code;
use relatch::http::routes;
use relatch::settings::Settings;
use relatch::startup::{Doorway, application, joined_app};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What stands for genuine values: an access token, a refresh token, a device token, the user's id, the session's id.
/// The user is the administrator, for whom every door is open.
pub const NAMES: [&str; 5] = ["{AT}", "{RT}", "{DT}", "{USER}", "{SESSION}"];

const PASSWORD: &str = "a long walk on the pier";

/// Sends the request. Whatever it says, the answer is not the server's own failure, and a refusal is a documented one.
pub fn look_at(data: &[u8]) {
    if request(data).is_some() {
        WORLD.with_borrow_mut(|world| {
            world.get_or_insert_with(|| ManuallyDrop::new(World::new())).try_out(data);
        });
    }
}

thread_local! {
    // Never dropped: at the end of a thread a runtime would miss what the thread has already put away.
    static WORLD: RefCell<Option<ManuallyDrop<World>>> = const { RefCell::new(None) };
}

/// What an input asks for; none if the parser of HTTP would not let it through.
fn request(data: &[u8]) -> Option<test::TestRequest> {
    let (head, body) = part(data, b"\n\n").unwrap_or((data, &[]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, path) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let uri = path.parse::<Uri>().ok().filter(|uri| uri.path().starts_with('/'))?;
    let mut request = test::TestRequest::with_uri(&uri.to_string())
        .method(method.parse().ok()?)
        .peer_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)));
    for line in lines {
        let (name, value) = part(line, b": ")?;
        let name = header::HeaderName::from_bytes(name).ok()?;
        request = request.append_header((name, header::HeaderValue::from_bytes(value).ok()?));
    }
    Some(request.set_payload(body.to_vec()))
}

pub(crate) fn part<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|window| window == at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

pub(crate) fn replaced(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    let (mut filled, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = part(rest, name.as_bytes()) {
        filled.extend_from_slice(before);
        filled.extend_from_slice(value.as_bytes());
        rest = after;
    }
    filled.extend_from_slice(rest);
    filled
}

/// Takes a request and tells status, media type and body.
type Serve = Box<dyn Fn(test::TestRequest) -> LocalBoxFuture<'static, (StatusCode, String, Vec<u8>)>>;

/// A server without sockets.
struct World {
    serve: Serve,
    system: SystemRunner,
}

impl World {
    fn new() -> Self {
        // The store's file loses its name at once and lives on as long as it is open: nothing is left behind.
        let directory = TempDir::new().expect("a temporary directory");
        let system = System::new();
        let serve = system.block_on(serving(directory.path()));
        Self { serve, system }
    }

    fn send(&self, request: test::TestRequest) -> (StatusCode, String, Vec<u8>) {
        self.system.block_on((self.serve)(request))
    }

    fn try_out(&mut self, data: &[u8]) {
        let mut data = data.to_vec();
        if NAMES.iter().any(|name| part(&data, name.as_bytes()).is_some()) {
            for (name, value) in NAMES.iter().zip(self.genuine()) {
                data = replaced(&data, name, &value);
            }
        }
        if let Some(request) = request(&data) {
            let (status, media_type, body) = self.send(request);
            judge(status, &media_type, &body);
        }
    }

    /// Values of a new session. An input may have changed or throttled the administrator: there is a new world then.
    fn genuine(&mut self) -> [String; 5] {
        self.sign_in().unwrap_or_else(|| {
            *self = Self::new();
            self.sign_in().expect("the administrator of a new world can sign in")
        })
    }

    fn sign_in(&self) -> Option<[String; 5]> {
        let who = json!({ "username": "admin", "password": PASSWORD });
        let (status, _, body) = self.send(test::TestRequest::post().uri("/login").set_json(who));
        if status != StatusCode::OK {
            return None;
        }
        let pair: Value = serde_json::from_slice(&body).expect("JSON");
        let text = |at: &str| pair.pointer(at).and_then(Value::as_str).expect(at).to_owned();
        Some([
            text("/access_token"),
            text("/refresh_token"),
            text("/device_token"),
            text("/user/id"),
            text("/session_id"),
        ])
    }
}

/// Those of a server whose store is in this folder.
pub(crate) fn settings(dir: &Path) -> Settings {
    let master_key: Vec<u8> = (0..32).collect();
    let settings = [
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("OPS__LISTEN", "127.0.0.1:0"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("STORE__URL", &format!("redb:{}", dir.join("relatch.redb").display())),
        ("PASSWORD__BCRYPT_COST", "4"),
        ("REGISTRATION__ENABLED", "true"),
        // All of them come from one address.
        ("RATE_LIMIT__ADDRESS_REQUESTS", "1000000"),
        ("RATE_LIMIT__ADDRESS_REQUEST_INTERVAL", "1ms"),
        ("BOOTSTRAP__ADMIN_PASSWORD", PASSWORD),
        ("MASTER_KEY", &relatch_domain::base64url::encode(&master_key)),
    ];
    let settings = settings.map(|(key, value)| (format!("RELATCH__{key}"), value.to_owned()));
    relatch::settings::load(None, settings).expect("settings").settings
}

async fn serving(dir: &Path) -> Serve {
    let settings = settings(dir);
    let app = joined_app(&settings).await.expect("an application");
    let service = test::init_service(application(app, Doorway::of(&settings), routes::main_listener)).await;
    Box::new(move |request| {
        let answer = service.call(request.to_request());
        Box::pin(async { read(answer.await.expect("an answer")).await })
    })
}

async fn read<B: MessageBody>(answer: ServiceResponse<B>) -> (StatusCode, String, Vec<u8>) {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let status = answer.status();
    let Ok(body) = body::to_bytes(answer.into_body()).await else { panic!("the body broke off") };
    (status, media_type, body.to_vec())
}

fn judge(status: StatusCode, media_type: &str, body: &[u8]) {
    static DOCUMENTED: LazyLock<HashSet<(u16, &str)>> =
        LazyLock::new(|| Code::ALL.iter().map(|code| (code.entry().status, code.entry().error)).collect());
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(media_type, "application/problem+json", "{status}");
        // The answer to HEAD has none.
        if !body.is_empty() {
            let problem: Value = serde_json::from_slice(body).expect("JSON");
            let error = problem["error"].as_str().expect("a code");
            assert!(DOCUMENTED.contains(&(status.as_u16(), error)), "{status} {error} is not documented");
            assert_ne!(error, "internal_error", "the server failed");
        }
    }
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
}
