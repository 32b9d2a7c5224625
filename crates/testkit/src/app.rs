//! The server as the tests meet it: built through the same door as in production, on a port of its own, on a store of
//! its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relatch::ambient::{Clock, SystemClock};
use relatch_domain::UnixMillis;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::actor::{Device, PASSWORD};
use crate::answer::Answer;
use crate::browser::Browser;
use crate::clock::{ManualClock, SkewedClock};
use crate::launch::{Launched, in_this_process, own_process};
use crate::node::Node;
use crate::redis_server::{RedisServer, RedisServerBuilder};

/// A builder of the application on one kind of store.
#[derive(Clone)]
pub struct On {
    redis: Option<RedisServerBuilder>,
    url: Option<String>,
    settings: BTreeMap<String, String>,
    clock: bool,
    own_clock: Option<SkewedClock>,
    own_process: bool,
}

impl On {
    /// On the embedded store, in a directory of its own.
    pub fn embedded() -> Self {
        Self::new(None)
    }

    /// On Redis, in a process of its own that forgets everything when it ends.
    pub fn redis() -> Self {
        Self::new(Some(RedisServer::builder()))
    }

    /// On Redis, in a process of its own that writes everything down.
    pub fn redis_with_a_memory() -> Self {
        Self::new(Some(RedisServer::builder().append_only()))
    }

    /// On a store that is there already.
    pub fn store_at(url: String) -> Self {
        Self { url: Some(url), ..Self::new(None) }
    }

    fn new(redis: Option<RedisServerBuilder>) -> Self {
        let settings = [
            ("http.listen", "127.0.0.1:0"),
            ("ops.listen", "127.0.0.1:0"),
            ("password.bcrypt_cost", "4"),
            ("bootstrap.admin_password", PASSWORD),
            ("master_key", &master_key()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self { redis, url: None, settings, clock: false, own_clock: None, own_process: false }
    }

    /// With a setting, written as in the environment.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With a clock that stands still until it is set, at the beginning of a second.
    #[must_use]
    pub fn with_clock(self) -> Self {
        Self { clock: true, ..self }
    }

    /// With a clock of the first node's own, with which the store is not in step.
    #[must_use]
    pub fn with_own_clock(self, clock: &SkewedClock) -> Self {
        Self { own_clock: Some(clock.clone()), ..self }
    }

    /// As a process of the real binary, so that its log can be read.
    #[must_use]
    pub fn in_own_process(self) -> Self {
        Self { own_process: true, ..self }
    }

    /// Starts the application.
    pub async fn start(mut self) -> TestApp {
        let dir = TempDir::new().expect("a temporary directory");
        let redis = match &self.redis {
            Some(builder) => Some(builder.clone().start().await),
            None => None,
        };
        let url = match (&redis, &self.url) {
            (Some(redis), _) => redis.url(),
            (None, Some(url)) => url.clone(),
            (None, None) => format!("redb:{}", dir.path().join("relatch.redb").display()),
        };
        self.settings.insert("store.url".to_owned(), url);
        let clock = self.clock.then(|| ManualClock::at(SystemClock.now().seconds().millis()));
        let mut app = TestApp {
            node: Node::at(String::new()),
            on: self,
            clock,
            admin: Arc::default(),
            launched: Vec::new(),
            redis,
            dir,
        };
        app.node =
            app.launch(&[]).await.unwrap_or_else(|message| panic!("the server does not start: {message}"));
        app.until_ready().await;
        app
    }
}

/// A running application and its store. Everything ends when it is dropped.
pub struct TestApp {
    /// The first node.
    pub node: Node,
    on: On,
    clock: Option<ManualClock>,
    admin: Arc<OnceCell<Device>>,
    // Dropped in this order: servers before their store.
    launched: Vec<Launched>,
    redis: Option<RedisServer>,
    dir: TempDir,
}

impl TestApp {
    async fn launch(&mut self, more: &[(&str, &str)]) -> Result<Node, String> {
        let mut settings = self.on.settings.clone();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let launched = if self.on.own_process {
            own_process(&settings, self.dir.path()).await?
        } else {
            let clock = self.clock.clone().map(|clock| Arc::new(clock) as Arc<dyn Clock>);
            let own = self.on.own_clock.clone().map(|clock| Arc::new(clock) as Arc<dyn Clock>);
            in_this_process(settings.clone(), clock, own).await?
        };
        let mut node = Node::at(format!("http://{}", launched.address()));
        node.socket = settings.get("admin.socket").map(PathBuf::from);
        self.launched.push(launched);
        Ok(node)
    }

    /// One more node on the same store.
    pub async fn second_node(&self) -> Node {
        self.second_node_with(&[]).await
    }

    /// One more node on the same store, with other settings.
    pub async fn second_node_with(&self, settings: &[(&str, &str)]) -> Node {
        self.another(settings).await.unwrap_or_else(|message| panic!("the server does not start: {message}"))
    }

    /// Why one more node with these settings does not start.
    pub async fn failing_node_with(&self, settings: &[(&str, &str)]) -> String {
        self.another(settings).await.expect_err("the server starts")
    }

    async fn another(&self, more: &[(&str, &str)]) -> Result<Node, String> {
        let mut settings = self.on.settings.clone();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let clock = self.clock.clone().map(|clock| Arc::new(clock) as Arc<dyn Clock>);
        let launched = in_this_process(settings.clone(), clock, None).await?;
        let mut node = Node::at(format!("http://{}", launched.address()));
        node.socket = settings.get("admin.socket").map(PathBuf::from);
        node.launched = Some(Arc::new(launched));
        Ok(node)
    }

    /// Whether the store is Redis; if not it is the embedded one.
    pub const fn is_on_redis(&self) -> bool {
        self.redis.is_some()
    }

    /// Stops the first node, has something done in its directory, and starts it again: [`Self::node`] is another one
    /// then.
    pub async fn while_stopped(&mut self, done: impl FnOnce(&Path)) {
        self.launched.clear();
        self.admin = Arc::default();
        done(self.dir.path());
        let deadline = Instant::now() + Duration::from_secs(10);
        self.node = loop {
            match self.launch(&[]).await {
                Ok(node) => break node,
                // A read of the one before may still be under way.
                Err(message) if message.contains("is in use") && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(message) => panic!("the server does not start: {message}"),
            }
        };
        self.until_ready().await;
    }

    /// Stops the first node and starts it with other settings, on the same store: [`Self::node`] is another one then.
    pub async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.on.settings.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.while_stopped(|_| ()).await;
    }

    /// The Redis process.
    pub fn redis(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("the application is on Redis")
    }

    /// The clock that all nodes and the store go by.
    pub fn clock(&self) -> &ManualClock {
        self.clock.as_ref().expect("the application was built with a clock")
    }

    /// The time that the nodes have.
    pub fn now(&self) -> UnixMillis {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), Clock::now)
    }

    /// The directory that the embedded store is in, and nothing else.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The settings of the first node.
    pub(crate) const fn settings(&self) -> &BTreeMap<String, String> {
        &self.on.settings
    }

    /// The settings of the first node as variables: the environment of a command line that belongs to it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variable = |(key, value): (&String, &String)| (crate::launch::variable(key), value.clone());
        self.on.settings.iter().map(variable).collect()
    }

    /// Asks the processes of its own to stop, as their operator would.
    pub fn terminate(&self) {
        self.launched.iter().for_each(Launched::terminate);
    }

    /// Stops the processes of its own in their tracks.
    pub fn pause(&self) {
        self.launched.iter().for_each(Launched::pause);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.launched.iter().for_each(Launched::resume);
    }

    /// Where the first node, on a thread of the test, tells operators how it is.
    pub fn ops_base(&self) -> String {
        let launched = self.launched.first().expect("the first node runs");
        format!("http://{}", launched.ops_address())
    }

    /// What the process of its own has logged so far.
    pub fn log(&self) -> String {
        self.launched.iter().map(Launched::log).collect()
    }

    /// The lines about a request in a log of JSON, once the last of them is there, which tells of the answer. Lines are
    /// written by a thread of their own, so that an answer may come first.
    ///
    /// # Panics
    /// If it is not there within ten seconds.
    pub async fn log_about(&self, request_id: &str) -> Vec<Value> {
        let about = async || loop {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let about: Vec<_> = lines.filter(|line| line["span"]["request_id"] == request_id).collect();
            if about.iter().any(|line| line["event"] == "request") {
                return about;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        tokio::time::timeout(Duration::from_secs(10), about()).await.expect("the line of the request")
    }

    /// Waits until the first node is ready.
    pub async fn until_ready(&self) {
        self.node.until_ready().await;
    }

    /// The administrator, signed in once.
    pub async fn admin(&self) -> Device {
        self.admin.get_or_init(|| self.sign_in("admin")).await.clone()
    }

    /// Creates a user, by the administrator. Gives the id.
    pub async fn user(&self, name: &str) -> String {
        self.user_with_password(name, PASSWORD).await
    }

    /// Creates a user with a password, by the administrator. Gives the id.
    pub async fn user_with_password(&self, name: &str, password: &str) -> String {
        let body = json!({"username": name, "password": password});
        let created = self.admin().await.post("/admin/users", &body).await.expect(201).json();
        created["id"].as_str().expect("an id").to_owned()
    }

    /// Tries a sign-in.
    pub async fn login(&self, name: &str, password: &str) -> Answer {
        self.post_json("/login", &json!({"username": name, "password": password})).await
    }

    /// Signs a user in on a new device.
    pub async fn sign_in(&self, name: &str) -> Device {
        Device::signed_in(&self.node, &self.login(name, PASSWORD).await.ok())
    }

    /// Signs a user in on a device with a name.
    pub async fn sign_in_as(&self, name: &str, device_name: &str) -> Device {
        let body = json!({"username": name, "password": PASSWORD, "device_name": device_name});
        Device::signed_in(&self.node, &self.post_json("/login", &body).await.ok())
    }

    /// A new browser, with a page of the server's own origin.
    pub fn browser(&self) -> Browser {
        Browser::at(&self.node)
    }

    /// A new browser on which a user is signed in.
    pub async fn browse(&self, name: &str, delivery: &str) -> Browser {
        let mut browser = self.browser();
        browser.sign_in(name, delivery).await.expect(200);
        browser
    }

    /// A POST with a JSON body and no credentials.
    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.node.send(self.node.post(path).json(body)).await
    }
}

/// The master key of the tests.
pub fn master_key_bytes() -> [u8; 32] {
    *b"a master key for tests, 32 bytes"
}

/// The master key of the tests, in Base64.
pub fn master_key() -> String {
    "YSBtYXN0ZXIga2V5IGZvciB0ZXN0cywgMzIgYnl0ZXM=".to_owned()
}

/// Another master key, in Base64.
pub fn another_master_key() -> String {
    "b3RoZXIgbWFzdGVyIGtleSBmb3IgdGVzdHM6IDMyIEI=".to_owned()
}
