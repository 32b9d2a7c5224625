use super::*;

fn redis(text: &str) -> RedisUrl {
    match StoreUrl::parse(text).unwrap() {
        StoreUrl::Redis(url) => url,
        StoreUrl::Embedded(path) => panic!("{path:?}"),
    }
}

#[test]
fn a_password_is_masked_wherever_the_url_is_shown() {
    for (text, shown) in [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://ada:hunter2@redis.example/1", "rediss://ada:***@redis.example/1"),
        ("redis://:hunter2@[::1]:6379", "redis://:***@[::1]:6379"),
        ("redis://hunter2@localhost", "redis://***@localhost"),
        ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
        (
            "redis+unix:///run/redis.sock?db=2&user=ada&pass=hunter2",
            "redis+unix:///run/redis.sock?db=2&user=ada&pass=***",
        ),
        ("redis+sentinel://s1,s2:7001/main", "redis+sentinel://s1,s2:7001/main"),
        (
            "rediss+sentinel://ada:hunter2,%40@s1,[::1]:7,10.0.0.1/main/2",
            "rediss+sentinel://ada:***@s1,[::1]:7,10.0.0.1/main/2",
        ),
        ("redis+sentinel://hunter2@s1/main", "redis+sentinel://***@s1/main"),
        ("redis+cluster://:hunter2@a:7000,b", "redis+cluster://:***@a:7000,b"),
        ("rediss+cluster://hunter2@a/", "rediss+cluster://***@a"),
    ] {
        let url = redis(text);
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.expose(), text);
        assert_eq!(url.has_login(), shown.contains("***"), "{text}");
    }
}

#[test]
fn a_url_says_what_stands_at_the_other_end() {
    use RedisForm::{Cluster, Sentinel, Single};
    for (text, form, is_tls, replicas) in [
        ("redis://h", Single, false, 0),
        ("rediss://h", Single, true, 0),
        ("redis+unix:///x", Single, false, 0),
        ("redis+sentinel://h/s", Sentinel, false, 1),
        ("rediss+sentinel://h/s/0", Sentinel, true, 1),
        ("redis+cluster://h", Cluster, false, 1),
        ("rediss+cluster://h", Cluster, true, 1),
    ] {
        let url = redis(text);
        assert_eq!((url.form(), url.is_tls()), (form, is_tls), "{text}");
        assert_eq!(StoreUrl::parse(text).unwrap().default_sync_replicas(), replicas, "{text}");
    }
}

#[test]
fn an_embedded_store_is_a_path() {
    let url = StoreUrl::parse("redb:data/x.redb").unwrap();
    assert_eq!(url.default_sync_replicas(), 0);
    assert!(matches!(url, StoreUrl::Embedded(path) if path.as_os_str() == "data/x.redb"));
}

#[test]
fn what_is_no_store_is_refused() {
    for bad in [
        "",
        "redb:",
        "redb:///x",
        "data/x.redb",
        "postgres://localhost",
        "redis://",
        "redis:///1",
        "redis://h/x",
        "redis://h/1/2",
        "rediss://h#insecure",
        "redis://h?protocol=resp3",
        "redis+unix:run/x",
        "redis+unix://host/x",
        "redis+unix:///x?password=y",
        "redis+nothing://h",
    ] {
        assert!(StoreUrl::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn lists_of_hosts_are_all_hosts() {
    let of = |scheme: &str, end: &str| {
        [
            "",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a, b",
            "a:x",
            "a:99999",
            "a:1:2",
            "::1",
            "u:p@",
            "u:p@a,u:p@b",
            "u:p/w@a",
            "u:p#w@a",
            "u:p?w@a",
            "a/b,c",
            "a#insecure",
            "a?x",
        ]
        .map(|hosts| format!("{scheme}://{hosts}{end}"))
    };
    let sentinels = of("redis+sentinel", "/main").into_iter().chain(of("rediss+sentinel", "/main/0"));
    let clusters = of("redis+cluster", "").into_iter().chain(of("rediss+cluster", "/"));
    for bad in sentinels {
        let wrong = StoreUrl::parse(&bad).expect_err(&bad);
        assert!(wrong.not.starts_with("the URL of Sentinels"), "{bad}");
    }
    for bad in clusters {
        assert_eq!(StoreUrl::parse(&bad).expect_err(&bad).not, "the URL of a Cluster", "{bad}");
    }
    for bad in [
        "redis+sentinel:h/s",
        "redis+sentinel://h/s p",
        "redis+sentinel://h/s/x",
        "redis+sentinel://h/s/1/2",
        "redis+sentinel://h/s#insecure",
        "redis+sentinel://h/s/0#insecure",
        "redis+sentinel://h/s?x=y",
        "redis+cluster:h",
        "redis+cluster://h/0",
        "redis+cluster://h//",
        "redis+cluster://h/#insecure",
    ] {
        assert!(StoreUrl::parse(bad).is_err(), "{bad}");
    }
    for bad in ["redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h//0"] {
        let not = StoreUrl::parse(bad).expect_err(bad).not;
        assert_eq!(not, "the URL of Sentinels: it names no service", "{bad}");
    }
}
