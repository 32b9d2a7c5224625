//! Whose password is hashed first when more come than can be hashed at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use relatch_testkit::{Answer, Node, On, PASSWORD, TestApp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A request from an address, by way of a trusted proxy.
async fn from(node: &Node, address: &str, path: &str, body: &Value) -> Answer {
    node.send(node.post(path).header("X-Forwarded-For", address).json(body)).await
}

fn right(name: &str) -> Value {
    json!({ "username": name, "password": PASSWORD })
}

/// One thread, and hashes that are slow enough for a queue.
async fn start(on: On) -> TestApp {
    let on = on.set("password.hash_threads", "1").set("password.bcrypt_cost", "10");
    let on = on.set("http.trusted_proxies", "127.0.0.0/8").set("registration.enabled", "true");
    // Only the queue is to refuse anybody.
    let on = on.set("rate_limit.registrations", "1000000").set("rate_limit.sign_ins", "1000000");
    on.set("rate_limit.address_requests", "1000000").start().await
}

async fn users(app: &TestApp, count: usize) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|number| format!("honest{number}")).collect();
    join_all(names.iter().map(|name| app.user(name))).await;
    names
}

/// A request by its number: path, address, body.
type Made = fn(usize) -> (&'static str, String, Value);

/// Requests without end, each of which begins when another has been answered.
struct Flood {
    requests: JoinSet<()>,
    /// How many have been let in.
    done: Arc<AtomicUsize>,
}

/// So many at once. Each is made by its number.
const AT_ONCE: usize = 30;

impl Flood {
    /// Returns when the first three have been answered: then the others wait.
    async fn begin(app: &TestApp, request: Made) -> Self {
        let (number, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut requests = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (node, number, done) = (app.node.clone(), Arc::clone(&number), Arc::clone(&done));
            requests.spawn(async move {
                loop {
                    let (path, address, body) = request(number.fetch_add(1, Ordering::Relaxed));
                    let answer = from(&node, &address, path, &body).await;
                    assert!([200, 201, 401, 429, 503].contains(&answer.status), "{}", answer.text);
                    done.fetch_add(usize::from(answer.status != 503), Ordering::Relaxed);
                }
            });
        }
        let flood = Self { requests, done };
        while flood.done() < 3 {
            assert!(!flood.requests.is_empty());
            tokio::task::yield_now().await;
        }
        flood
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    async fn end(mut self) {
        self.requests.abort_all();
        while let Some(ended) = self.requests.join_next().await {
            assert!(
                ended.is_err_and(|error| error.is_cancelled()),
                "a request of the flood was answered otherwise"
            );
        }
    }
}

/// A number's address.
fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

#[tokio::test]
async fn one_who_asks_for_much_does_not_keep_others_out() {
    let app = start(On::embedded()).await;
    app.user("mallory").await;
    let names = users(&app, 12).await;
    let floods: [(&str, Made); 4] = [
        ("one account from one address", |_| ("/login", "198.51.100.7".into(), right("mallory"))),
        ("one account from many addresses", |number| ("/login", address(number), right("mallory"))),
        ("many new accounts from one address", |number| {
            ("/register", "198.51.100.7".into(), right(&format!("eve-a{number}")))
        }),
        ("many new accounts from many addresses", |number| {
            ("/register", address(number), right(&format!("eve-b{number}")))
        }),
    ];
    for (what, request) in floods {
        let flood = Flood::begin(&app, request).await;
        let before = flood.done();
        let sign_ins = names.iter().zip(1..).map(async |(name, number)| {
            from(&app.node, &format!("203.0.113.{number}"), "/login", &right(name)).await
        });
        for answer in join_all(sign_ins).await {
            answer.ok();
        }
        let meanwhile = flood.done() - before;
        assert!(meanwhile <= 5, "{meanwhile} of {what} went before {} others", names.len());
        flood.end().await;
    }
}

/// Strangers who type a name make others wait who type it, but not its owner: known by a device, or by a session.
#[tokio::test]
async fn guesses_at_an_account_do_not_hold_up_its_owner() {
    let app = start(On::embedded()).await;
    for name in ["ada", "mallory"] {
        app.user(name).await;
    }
    let device = app.sign_in("ada").await;
    let mut known = right("ada");
    known["device_token"] = app.login("ada", PASSWORD).await.ok()["device_token"].clone();
    let guesses = Flood::begin(&app, |_| {
        ("/login", "198.51.100.7".into(), json!({ "username": "ada", "password": "a wrong guess" }))
    })
    .await;
    // The guesses are refused soon, and hash nothing: this keeps the queue full.
    let flood = Flood::begin(&app, |_| ("/login", "198.51.100.8".into(), right("mallory"))).await;
    for number in 1..4 {
        let before = flood.done();
        from(&app.node, "203.0.113.1", "/login", &known).await.ok();
        let meanwhile = flood.done() - before;
        assert!(meanwhile <= 5, "{meanwhile} sign-ins of mallory went before the {number}. of the owner");
    }
    let before = flood.done();
    let change = json!({ "current_password": PASSWORD, "new_password": "a long walk on the pier" });
    device.put("/password", &change).await.ok();
    assert!(flood.done() - before <= 8, "one password is checked, one hashed");
    guesses.end().await;
    flood.end().await;
}

#[tokio::test]
async fn an_account_behind_the_address_of_a_flood_has_its_share() {
    let app = start(On::embedded()).await;
    app.user("mallory").await;
    let names = users(&app, 4).await;
    let flood = Flood::begin(&app, |_| ("/login", "198.51.100.7".into(), right("mallory"))).await;
    let sign_ins =
        names.iter().map(async |name| from(&app.node, "198.51.100.7", "/login", &right(name)).await);
    for answer in join_all(sign_ins).await {
        answer.ok();
    }
    flood.end().await;
}

/// Alone, an address or an account may use everything.
#[tokio::test]
async fn an_honest_crowd_waits_and_is_let_in() {
    // How long that takes depends on what else the machine does.
    let app = start(On::embedded().set("password.max_wait", "60s")).await;
    let names = users(&app, 32).await;
    let all = join_all(names.iter().map(|name| app.login(name, PASSWORD))).await;
    assert!(all.iter().all(|answer| answer.status == 200), "32 accounts from one address");
    let one = join_all((0..32).map(|_| app.login("honest0", PASSWORD))).await;
    assert!(one.iter().all(|answer| answer.status == 200), "one account");
}

#[tokio::test]
async fn one_who_has_waited_long_enough_is_told_to_come_again() {
    let on = On::embedded().set("password.max_wait", "100ms");
    let app = start(on).await;
    app.user("ada").await;
    let answers = join_all((0..40).map(|_| app.login("ada", PASSWORD))).await;
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status != 200).collect();
    assert!(refused.len() > 20, "{}", refused.len());
    for answer in refused {
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait >= 1);
        answer.problem(503, "temporarily_unavailable");
    }
    app.login("ada", PASSWORD).await.ok();
}
