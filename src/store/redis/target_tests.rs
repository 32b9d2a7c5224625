use super::*;
use crate::store::redis::settings::ClientCertificate;

fn settings(url: &str) -> RedisSettings {
    RedisSettings::at(url)
}

fn read(url: &str) -> Target {
    Target::read(&settings(url)).unwrap()
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp(host.into(), port)
}

#[test]
fn reads_the_url_of_one_server() {
    let target = read("redis://ada:p%40ss@redis.example:7000/3");
    assert_eq!(target.form, Form::Single(tcp("redis.example", 7000)));
    let client = target.doors.redis(&tcp("redis.example", 7000)).unwrap();
    let info = client.get_connection_info();
    assert_eq!(info.addr(), &ConnectionAddr::Tcp("redis.example".into(), 7000));
    assert_eq!(info.redis_settings().username(), Some("ada"));
    assert_eq!(info.redis_settings().password(), Some("p@ss"));
    assert_eq!(info.redis_settings().db(), 3);

    let tls = read("rediss://redis.example").doors.redis(&tcp("redis.example", 6379)).unwrap();
    assert!(matches!(tls.get_connection_info().addr(), ConnectionAddr::TcpTls { insecure: false, .. }));

    for url in [
        "redis+unix:///run/redis.sock?db=2",
        "unix:///run/redis.sock?db=2",
        "redis+unix:/run/redis.sock?db=2",
    ] {
        let target = read(url);
        let socket = Address::Unix("/run/redis.sock".into());
        assert_eq!(target.form, Form::Single(socket.clone()), "{url}");
        let client = target.doors.redis(&socket).unwrap();
        assert_eq!(client.get_connection_info().redis_settings().db(), 2);
    }
}

#[test]
fn reads_the_urls_of_sentinels_and_clusters() {
    let target = read("redis+sentinel://ada:p%40ss@s1.example,s2.example:7001,[::1],10.0.0.1:7/main/2");
    let sentinels =
        vec![tcp("s1.example", 26379), tcp("s2.example", 7001), tcp("::1", 26379), tcp("10.0.0.1", 7)];
    assert_eq!(target.form, Form::Sentinel { sentinels, service: "main".to_owned() });
    let redis = target.doors.redis(&tcp("10.0.0.2", 6379)).unwrap();
    let login = redis.get_connection_info().redis_settings();
    assert_eq!((login.username(), login.password(), login.db()), (Some("ada"), Some("p@ss"), 2));
    let sentinel = target.doors.sentinel(&tcp("s1.example", 26379)).unwrap();
    let login = sentinel.get_connection_info().redis_settings();
    assert_eq!((login.username(), login.password(), login.db()), (None, None, 0));

    let target = read("rediss+cluster://:hunter2@a.example:7000,b.example");
    assert_eq!(target.form, Form::Cluster { seeds: vec![tcp("a.example", 7000), tcp("b.example", 6379)] });
    assert!(target.doors.is_tls());
    let redis = target.doors.redis(&tcp("c.example", 7002)).unwrap();
    assert_eq!(redis.get_connection_info().redis_settings().password(), Some("hunter2"));
}

#[test]
fn logins_beside_the_url_win() {
    let login = |name: &str, word: &str| Login { username: Some(name.into()), password: Some(word.into()) };
    let settings = RedisSettings {
        login: login("relatch", "of redis"),
        sentinel_login: login("watcher", "of sentinels"),
        ..settings("redis+sentinel://ada:url@s1/main")
    };
    let doors = Target::read(&settings).unwrap().doors;
    let (redis, sentinel) =
        (doors.redis(&tcp("r", 1)).unwrap(), doors.sentinel(&tcp("s1", SENTINEL_PORT)).unwrap());
    let of = |client: &Client| {
        let settings = client.get_connection_info().redis_settings().clone();
        (settings.username().unwrap().to_owned(), settings.password().unwrap().to_owned())
    };
    assert_eq!(of(&redis), ("relatch".into(), "of redis".into()));
    assert_eq!(of(&sentinel), ("watcher".into(), "of sentinels".into()));
    assert!(!format!("{settings:?}").contains("of redis"));
}

#[test]
fn says_what_is_wrong_with_a_url_and_never_shows_it() {
    let wrong = [
        "",
        "hunter2",
        "http://:hunter2@redis.example",
        "redis+nothing://:hunter2@redis.example",
        "redis://:hunter2@",
        "redis://:hunter2@redis.example:port",
        "redis://:hunter2@redis.example/name",
        "redis://:hunter2@0.0.0.0",
        "rediss://:hunter2@redis.example#insecure",
        "rediss://:hunter2@redis.example#nonsense",
        "redis+sentinel://:hunter2@s1,s2",
        "redis+sentinel://:hunter2@s1,s2/",
        "redis+sentinel://:hunter2@s1,/main",
        "redis+sentinel://:hunter2@s1:x/main",
        "redis+sentinel://:hunter2@s1/main/name",
        "rediss+sentinel://:hunter2@s1/main/0#insecure",
        "redis+cluster://:hunter2@",
        "redis+cluster://:hunter2@a,,b",
        "redis+cluster://:hunter2@a,b/1",
        "rediss+cluster://:hunter2@a#insecure",
    ];
    for url in wrong {
        let settings = settings(url);
        let error = Target::read(&settings).err().unwrap_or_else(|| panic!("{url} was accepted"));
        assert!(!format!("{error} {error:?} {settings:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn certificates_must_be_some_and_need_tls() {
    let with = |url: &str, path: &str| RedisSettings { ca_file: Some(path.into()), ..settings(url) };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(matches!(Target::read(&with("redis://localhost", "/dev/null")), Err(OpenError::NotTls)));
    for path in ["/nonexistent/ca.pem", manifest] {
        let unusable = Target::read(&with("rediss+cluster://localhost", path));
        assert!(matches!(unusable, Err(OpenError::TlsFile { .. })), "{path}");
    }
    let own = ClientCertificate { certificate_file: manifest.into(), key_file: manifest.into() };
    let settings = RedisSettings { client_certificate: Some(own), ..settings("rediss://localhost") };
    assert!(matches!(Target::read(&settings), Err(OpenError::TlsFile { .. })));
    let settings = RedisSettings { url: "redis://localhost".into(), ..settings };
    assert!(matches!(Target::read(&settings), Err(OpenError::NotTls)));
}
