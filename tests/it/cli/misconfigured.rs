//! A Redis that the settings do not fit: the setting is named, and a start that no waiting would help fails.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use relatch_testkit::redis_group::{RedisCluster, SentinelSet};
use relatch_testkit::redis_server::RedisServer;

use super::{Running, command, complaints, run};

/// The variables of a server with this store.
fn variables(url: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut variables = vec![
        ("RELATCH__STORE__URL".to_owned(), url.to_owned()),
        ("RELATCH__MASTER_KEY".to_owned(), relatch_testkit::app::master_key()),
        ("RELATCH__HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("RELATCH__OPS__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
    ];
    variables.extend(more.iter().map(|(name, value)| (format!("RELATCH__{name}"), (*value).to_owned())));
    variables
}

/// What a command has said that ends by itself.
fn ended(command: Command) -> Output {
    let mut running = Running::start(command);
    let until = Instant::now() + Duration::from_secs(20);
    while running.0.as_mut().unwrap().try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.ended()
}

/// Neither the server nor a command gets anywhere, and both say all of this. The doctor says the same of the address. None
/// of it repeats a password.
#[track_caller]
fn refused(url: &str, more: &[(&str, &str)], says: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let variables = variables(url, more);
    for arguments in [&["serve"][..], &["user", "list"], &["doctor"]] {
        let output = ended(command(dir.path(), &variables, arguments));
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &complaints(output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url} {arguments:?}: {text}");
        for said in says {
            assert!(text.contains(said), "{url} {arguments:?}: no {said:?} in {text}");
        }
        assert!(!text.contains("sesame") && !text.contains("wr0ng"), "{text}");
        if arguments != ["doctor"] {
            assert_eq!(
                text.trim_end().lines().filter(|line| line.starts_with("relatch: ")).count(),
                1,
                "{text}"
            );
        }
    }
}

/// The server waits, and says all of this once.
async fn waited_for(url: &str, more: &[(&str, &str)], says: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let variables = variables(url, more);
    let ready = dir.path().join("ready");
    let server = Running::start(command(dir.path(), &variables, &["serve", "--ready-file", "ready"]));
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let output = server.stop();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().filter(|line| line.contains("the store is away")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    for said in says {
        assert!(lines[0].contains(said), "no {said:?} in {text}");
    }
    let output = run(command(dir.path(), &variables, &["user", "list"]), "");
    let text = complaints(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(says.iter().all(|said| text.contains(said)), "{text}");
}

#[tokio::test]
async fn a_wrong_login_is_refused() {
    let server = RedisServer::builder().password("sesame").start().await;
    let at = format!("localhost:{}", server.address().port());
    let url = format!("redis://{at}");
    refused(&url, &[], &[&at, "demands a password", "set store.password", "NOAUTH"]);
    let wrong = ["refuses the user name or password", "store.username and store.password", "WRONGPASS"];
    refused(&url, &[("STORE__PASSWORD", "wr0ng")], &[&[at.as_str()][..], &wrong].concat());
    refused(&format!("redis://:wr0ng@{at}"), &[], &wrong);
    assert_eq!(server.say("ACL SETUSER ada on >sesame ~* +client +hello +ping"), "+OK");
    refused(&url, &[("STORE__USERNAME", "bob"), ("STORE__PASSWORD", "sesame")], &wrong);
    let few = [("STORE__USERNAME", "ada"), ("STORE__PASSWORD", "sesame")];
    refused(&url, &few, &["store.username", "'info'"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "wr0ng").unwrap();
    refused(&url, &[("STORE__PASSWORD_FILE", file.path().to_str().unwrap())], &wrong);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let server = RedisServer::builder().args(["--databases", "1"]).start().await;
    let url = format!("redis://{}/7", server.address());
    refused(&url, &[], &["store.url", "no database", "DB index is out of range"]);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let server = RedisServer::builder().tls().start().await;
    refused(&server.tls_url(), &[], &["store.ca_file", "UnknownIssuer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_server_is_refused() {
    let server = RedisServer::builder().start().await;
    let at = server.address().to_string();
    refused(&format!("redis+cluster://{at}"), &[], &["is no node of a Cluster", "store.url", "redis://"]);
    refused(&format!("redis+sentinel://{at}/main"), &[], &["is no Sentinel", "store.url"]);
    let set = SentinelSet::builder().start().await;
    let (hosts, _) =
        set.url().rsplit_once('/').map(|(hosts, service)| (hosts.to_owned(), service.to_owned())).unwrap();
    refused(&format!("{hosts}/other"), &[], &["store.url"]);
    let one = hosts.split("://").nth(1).unwrap().split(',').next().unwrap().to_owned();
    refused(&format!("redis://{one}"), &[], &["is a Sentinel", "redis+sentinel://"]);
    let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = web.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Write as _;
        for stream in web.incoming() {
            let _ =
                stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n<p>no</p>"));
        }
    });
    refused(&format!("redis://{at}"), &[], &[&at.to_string(), "store.url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_taken_for_one_server_is_refused() {
    let cluster = RedisCluster::builder().start().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("redis://{}", cluster.nodes()[0].address());
    for arguments in [&["serve"][..], &["user", "list"]] {
        let output = ended(command(dir.path(), &variables(&url, &[]), arguments));
        let text = complaints(output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("is a node of a Cluster") && text.contains("redis+cluster://"), "{text}");
    }
}

#[tokio::test]
async fn what_may_pass_is_waited_for_and_named() {
    let port = relatch_testkit::redis_server::free_port();
    let at = format!("127.0.0.1:{port}");
    waited_for(&format!("redis://{at}"), &[], &[&at, "Connection refused", "store.url"]).await;
    waited_for("redis://nowhere.invalid:6379", &[], &["nowhere.invalid:6379", "host name in store.url"])
        .await;
    let server = RedisServer::builder().tls().start().await;
    let ca_file = server.ca_file();
    let (tls, plain) = (server.tls_url(), format!("rediss://{}", server.address()));
    waited_for(&tls.replace("rediss://", "redis://"), &[], &["has to begin with rediss"]).await;
    let trusting = [("STORE__CA_FILE", ca_file.to_str().unwrap())];
    waited_for(&plain, &trusting, &["speaks no TLS", "begin with redis instead"]).await;
}
