//! What a refresh costs Redis: one round trip, counted on the wire between the whole server and Redis.

use relatch_testkit::On;
use relatch_testkit::browser::ACCESS;
use relatch_testkit::wire::Wire;

#[tokio::test]
async fn an_ordinary_refresh_is_one_evalsha_and_nothing_else() {
    let mut app = On::redis().start().await;
    let wire = Wire::to(app.redis().address()).await;
    let node = app.second_node_with(&[("store.url", &wire.url())]).await;
    app.user("ada").await;
    let mut device = app.sign_in("ada").await;
    device.node = node;
    // Each worker opens its connection, and the first one sends the script in full.
    for _ in 0..10 {
        device.refresh().await.ok();
    }
    wire.reset();
    for _ in 0..50 {
        device.refresh().await.ok();
    }
    let sent = wire.sent();
    assert_eq!(sent.commands.get("EVALSHA"), Some(&50), "{sent:?}");
    // What the node looks at every now and then, if the refreshes take that long, is not theirs: the keys and the cutoffs
    // (HGETALL), the marker (GET), the journal (EVALSHA_RO), and whether the process is still the same (INFO, with its TIME).
    let count = |name: &str| sent.commands.get(name).copied().unwrap_or_default();
    let others = ["HGETALL", "GET", "EVALSHA_RO", "INFO"].map(count).iter().sum::<usize>();
    assert_eq!(sent.commands.values().sum::<usize>(), 50 + others, "{sent:?}");
    // Far fewer than one for each refresh, or they would be.
    assert!(others < 25, "{sent:?}");
    assert_eq!(sent.reads, 50 + others, "one write each: {sent:?}");
    assert_eq!(sent.connections, 0, "{sent:?}");
}

#[tokio::test]
async fn cookies_cost_no_more() {
    let mut app = On::redis().start().await;
    let wire = Wire::to(app.redis().address()).await;
    let node = app.second_node_with(&[("store.url", &wire.url())]).await;
    app.user("ada").await;
    let mut cookie = app.browse("ada", "cookie").await;
    let mut hybrid = app.browse("ada", "hybrid").await;
    // The cookies of both deliveries, one of them left over.
    hybrid.jar.insert(ACCESS.to_owned(), cookie.cookie(ACCESS));
    hybrid.reload();
    cookie.node = node.clone();
    hybrid.node = node;
    for counted in [false, true] {
        wire.reset();
        for _ in 0..10 {
            cookie.refresh().await.expect(200);
            hybrid.refresh().await.expect(200);
            hybrid.reload();
        }
        let sent = wire.sent();
        assert!(!counted || sent.commands.get("EVALSHA") == Some(&20), "{sent:?}");
    }
}

#[tokio::test]
async fn records_stay_in_a_listpack_with_the_default_settings_of_redis() {
    let mut app = On::redis().start().await;
    let id = app.user("ada").await;
    for round in 0..60 {
        let mut device = app.sign_in("ada").await;
        device.refresh().await.ok();
        if round % 3 == 0 {
            device.sign_out().await.expect(204);
        }
    }
    let key = format!("relatch:{{{id}}}:s");
    assert_eq!(app.redis().say(&format!("HLEN {key}")), ":60");
    assert_eq!(app.redis().say(&format!("OBJECT ENCODING {key}")), "listpack");
}
