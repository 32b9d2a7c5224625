//! `http.tls`: the main listener with a certificate, met with curl.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch_testkit::PASSWORD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use socket2::SockRef;
use tempfile::TempDir;

use super::{Running, complaints, run, serve};

const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate for localhost, as `NAME.pem` and `NAME.key`, signed by itself. It says that it signs no others: a client
/// may refuse it as a server's otherwise.
fn make(dir: &Path, name: &str) {
    let made = Process::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Puts a certificate where the server looks for it.
fn put(dir: &Path, name: &str) {
    for (from, to) in [("pem", "served.pem"), ("key", "served.key")] {
        fs::copy(dir.join(format!("{name}.{from}")), dir.join(to)).unwrap();
    }
}

fn command(dir: &Path) -> Process {
    let mut command = serve(dir);
    command
        .env("RELATCH__ISSUER", "https://localhost")
        .env("RELATCH__BOOTSTRAP__ADMIN_PASSWORD", PASSWORD)
        .env("RELATCH__HTTP__TLS__CERTIFICATE_FILE", "served.pem")
        .env("RELATCH__HTTP__TLS__KEY_FILE", "served.key")
        .env("RELATCH__LOG__FORMAT", "json")
        .stderr(File::create(dir.join("log")).unwrap());
    command
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The port, once the server listens.
async fn port(dir: &Path) -> String {
    let ready = until("the server listens", || fs::read_to_string(dir.join("ready")).ok()).await;
    ready.lines().next().unwrap().rsplit_once(':').unwrap().1.to_owned()
}

/// What curl gets, if it gets anything.
fn curl(dir: &Path, trusted: &str, arguments: &[&str]) -> Option<String> {
    let got = Process::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10", "--cacert"])
        .arg(format!("{trusted}.pem"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    got.status.success().then(|| String::from_utf8(got.stdout).unwrap())
}

#[tokio::test]
async fn a_listener_with_a_certificate_speaks_tls_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make(dir, "one");
    put(dir, "one");
    let server = Running::start(command(dir));
    let port = port(dir).await;
    let base = format!("https://localhost:{port}");
    let live = format!("{base}/health/live");
    for version in [["--tlsv1.3", "--http2"].as_slice(), &["--tls-max", "1.2", "--http1.1"]] {
        let asked = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}", &live];
        assert_eq!(curl(dir, "one", &[version, &asked].concat()).unwrap(), "1.1 200");
    }
    assert_eq!(curl(dir, "one", &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", &live]), None);
    assert_eq!(curl(dir, "one", &[&format!("http://localhost:{port}/health/live")]), None);

    let credentials = format!(r#"{{"username":"admin","password":"{PASSWORD}"}}"#);
    let pair = |arguments: &[&str]| -> Value {
        serde_json::from_str(&curl(dir, "one", arguments).unwrap()).unwrap()
    };
    let first = pair(&["--json", &credentials, &format!("{base}/login")]);
    let bearer = format!("Authorization: Bearer {}", first["access_token"].as_str().unwrap());
    let body = serde_json::json!({ "refresh_token": first["refresh_token"] }).to_string();
    let second = pair(&["--json", &body, "--header", &bearer, &format!("{base}/token/refresh")]);
    assert_eq!(second["session_id"], first["session_id"]);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let trail = until("the sign-in is in the log", || {
        let log = fs::read_to_string(dir.join("log")).unwrap();
        log.lines().find(|line| line.contains(r#""event":"signed_in""#)).map(str::to_owned)
    });
    assert!(trail.await.contains(r#""address":"127.0.0.1""#), "the peer is known through TLS as well");
    assert!(
        fs::read_to_string(dir.join("log"))
            .unwrap()
            .contains(&format!("listening on https://127.0.0.1:{port}"))
    );
    server.stop();
}

#[tokio::test]
async fn a_certificate_that_changes_is_served_and_a_broken_one_is_not() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make(dir, "one");
    make(dir, "two");
    put(dir, "one");
    let _server = Running::start(command(dir));
    let live = format!("https://localhost:{}/health/live", port(dir).await);
    let is_served = |name: &str| curl(dir, name, &[&live]).is_some();
    assert!(is_served("one") && !is_served("two"));
    put(dir, "two");
    until("the new certificate is served", || is_served("two").then_some(())).await;
    assert!(!is_served("one"));

    let log_has = |event: &str| {
        fs::read_to_string(dir.join("log")).unwrap().contains(&format!(r#""event":"{event}""#)).then_some(())
    };
    until("the change is logged", || log_has("certificate_loaded")).await;
    fs::copy(dir.join("one.pem"), dir.join("served.pem")).unwrap();
    until("that they do not belong together is logged", || log_has("certificate_not_loaded")).await;
    assert!(is_served("two"));
    put(dir, "one");
    until("the right pair is served again", || is_served("one").then_some(())).await;
}

#[tokio::test]
async fn a_certificate_of_no_use_stops_the_start_with_the_name_of_its_setting() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make(dir, "one");
    make(dir, "two");
    let says = || {
        let mut command = command(dir);
        command
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .env("RELATCH__LOG__FORMAT", "text");
        let output = run(command, "");
        assert_eq!(output.status.code(), Some(1));
        complaints(output.stderr)
    };
    assert!(says().contains("http.tls.certificate_file: served.pem: No such file"), "{}", says());
    put(dir, "one");
    fs::copy(dir.join("two.key"), dir.join("served.key")).unwrap();
    assert!(
        says().contains("http.tls.key_file: with the certificate of http.tls.certificate_file: "),
        "{}",
        says()
    );
    fs::write(dir.join("served.key"), "no key").unwrap();
    assert!(
        says().contains("http.tls.key_file: served.key: there is no PEM private key in it"),
        "{}",
        says()
    );
    fs::write(dir.join("served.pem"), "").unwrap();
    assert!(
        says().contains("http.tls.certificate_file: served.pem: there is no PEM certificate in it"),
        "{}",
        says()
    );
}

#[tokio::test]
async fn whoever_does_not_shake_hands_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    make(dir.path(), "one");
    put(dir.path(), "one");
    let _server = Running::start(command(dir.path()));
    let mut silent = TcpStream::connect(format!("127.0.0.1:{}", port(dir.path()).await)).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let ended = tokio::task::spawn_blocking(move || silent.read(&mut [0]));
    assert!(matches!(ended.await.unwrap(), Ok(0)), "the server closes the connection");
}

/// Far more than the handshakes that a server of two workers used to have at once.
const SILENT: usize = 700;

#[tokio::test]
async fn clients_that_do_not_shake_hands_cost_nobody_else_their_turn() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make(dir, "one");
    put(dir, "one");
    let _server = Running::start(command(dir));
    let port = port(dir).await;
    let silent: Vec<_> =
        (0..SILENT).map(|_| TcpStream::connect(format!("127.0.0.1:{port}")).unwrap()).collect();
    let begun = Instant::now();
    let answer = curl(dir, "one", &[&format!("https://localhost:{port}/health/live")]);
    // The silent ones have five seconds.
    assert!(answer.is_some() && begun.elapsed() < Duration::from_secs(3), "{answer:?} {:?}", begun.elapsed());
    drop(silent);
}

/// Sends a sign-in through TLS and resets the connection after this time.
fn sign_in_and_reset(config: &Arc<ClientConfig>, port: &str, after: Duration) {
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(config.clone(), name).unwrap();
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let mut tls = StreamOwned::new(session, stream);
    let body = format!(r#"{{"username":"admin","password":"{PASSWORD}"}}"#);
    let head = format!("Content-Type: application/json\r\nContent-Length: {}", body.len());
    write!(tls, "POST /login HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{body}").unwrap();
    tls.flush().unwrap();
    // The moment is what is tried.
    std::thread::sleep(after);
    SockRef::from(&tls.sock).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_sign_in_that_has_begun_its_session_is_told_of_though_the_client_resets_the_connection() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make(dir, "one");
    put(dir, "one");
    let mut command = command(dir);
    command.env("RELATCH__LOG__LINGER", "0s").env("RELATCH__RATE_LIMIT__ENABLED", "false");
    let _server = Running::start(command);
    let port = port(dir).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("one.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut moments = (0..10).cycle().map(Duration::from_millis);
    let found = until("a client has gone after its session began", || {
        sign_in_and_reset(&config, &port, moments.next().unwrap());
        let log = fs::read_to_string(dir.join("log")).unwrap();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let gone = |line: &&Value| line["client_gone"] == true && line["status"] == 200;
        let gone = lines.iter().find(gone)?["span"]["request_id"].clone();
        Some(lines.into_iter().filter(|line| line["span"]["request_id"] == gone).collect::<Vec<_>>())
    })
    .await;
    let events: Vec<_> = found.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["signed_in", "request"]);
}
