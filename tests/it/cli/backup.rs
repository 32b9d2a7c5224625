//! Stores that are copied, wiped and restored: `relatch store copy`, and the procedures of docs/operations.md.

use std::fs;
use std::process::Command as Process;

use relatch_testkit::redis_server::RedisServer;
use relatch_testkit::{Device, Node, PASSWORD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Running, command, done, failed, ready, run, serve};

const NEW: &str = "a long walk on the pier";

/// A server and its store, which is where `RELATCH__STORE__URL` says.
struct Site {
    dir: TempDir,
    variables: Vec<(String, String)>,
    server: Option<(Running, Node)>,
}

impl Site {
    fn on(store: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let key = done(run(command(dir.path(), &[], &["key", "generate"]), ""));
        let variable = |name: &str, value: &str| (format!("RELATCH__{name}"), value.to_owned());
        let variables = vec![
            variable("MASTER_KEY", key.trim()),
            variable("ISSUER", "http://localhost:8080"),
            variable("STORE__URL", store),
            variable("LOG__LINGER", "0s"),
            variable("LOG__FORMAT", "json"),
        ];
        Self { dir, variables, server: None }
    }

    fn moves_to(&mut self, store: &str) {
        for (name, value) in &mut self.variables {
            if name == "RELATCH__STORE__URL" {
                store.clone_into(value);
            }
        }
    }

    async fn start(&mut self) -> Node {
        let _ = fs::remove_file(self.dir.path().join("ready"));
        let mut command = serve(self.dir.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let server = Running::start(command);
        let node = ready(self.dir.path()).await;
        self.server = Some((server, node.clone()));
        node
    }

    /// Stops the server, and gives the events of its log.
    fn stop(&mut self) -> Vec<Value> {
        let (server, _) = self.server.take().unwrap();
        let log = String::from_utf8(server.stop().stderr).unwrap();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) -> String {
        done(run(command(self.dir.path(), &self.variables, arguments), ""))
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        failed(run(command(self.dir.path(), &self.variables, arguments), ""), 1)
    }

    fn add(&self, name: &str) {
        let adding = command(self.dir.path(), &self.variables, &["user", "add", name]);
        done(run(adding, &format!("{PASSWORD}\n")));
    }
}

async fn sign_in(node: &Node, name: &str) -> Device {
    let body = json!({ "username": name, "password": PASSWORD, "device_name": "a device" });
    Device::signed_in(node, &node.send(node.post("/login").json(&body)).await.ok())
}

fn now() -> String {
    let time = Process::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(time.stdout).unwrap().trim().to_owned()
}

/// Sessions count by whole seconds.
async fn next_second() {
    let before = now();
    while now() == before {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The device once it talks to another server.
fn at(node: &Node, device: &Device) -> Device {
    Device { node: node.clone(), ..device.clone() }
}

#[tokio::test]
async fn a_store_moves_to_redis_and_back_and_nobody_is_signed_out() {
    let redis = RedisServer::start().await;
    let mut site = Site::on("redb:data/relatch.redb");
    let node = site.start().await;
    for name in ["ada", "bob", "eve"] {
        site.add(name);
    }
    let (mut ada, gone) = (sign_in(&node, "ada").await, sign_in(&node, "ada").await);
    ada.refresh().await.ok();
    gone.sign_out().await.expect(204);
    let change = json!({ "current_password": PASSWORD, "new_password": NEW });
    let token = ada.put("/password", &change).await.ok()["device_token"].clone();
    sign_in(&node, "eve").await;
    site.does(&["user", "disable", "eve"]);
    let explained = site.does(&["session", "explain", &gone.session_id]);
    let listed = site.does(&["user", "export"]);
    let keys = site.does(&["key", "list"]);
    site.stop();

    let (file, back) = ("redb:data/relatch.redb", "redb:back/relatch.redb");
    let url = redis.url();
    let copied = site.does(&["store", "copy", "--to", &url]);
    assert!(copied.contains(" has 4 users, 3 sessions, 2 signing keys, "), "{copied}");
    assert!(copied.ends_with(&format!(" of {file}\n")), "{copied}");
    let again = site.fails(&["store", "copy", "--to", &url]);
    assert_eq!(again, "relatch: the store to copy to is not empty; a copy is made into an empty one only\n");
    fs::create_dir(site.dir.path().join("back")).unwrap();

    let known = json!({ "username": "ada", "password": NEW, "device_token": token });
    for (times, from, to) in [(1, file, url.as_str()), (2, url.as_str(), back)] {
        site.moves_to(to);
        if to == back {
            site.does(&["store", "copy", "--from", from]);
        }
        let node = site.start().await;
        ada = at(&node, &ada);
        ada.check().await.ok();
        ada.refresh().await.ok();
        at(&node, &gone).refresh().await.problem(401, "session_revoked");
        sign_in(&node, "bob").await;
        node.send(node.post("/login").json(&known)).await.ok();
        let trail = site.does(&["audit", "tail", "--event", "signed_in", "--json"]);
        assert_eq!(trail.matches("\"known_device\":true").count(), times, "{trail}");
        let eve = json!({ "username": "eve", "password": PASSWORD });
        node.send(node.post("/login").json(&eve)).await.problem(401, "invalid_credentials");
        assert_eq!(site.does(&["session", "explain", &gone.session_id]), explained);
        assert_eq!(site.does(&["user", "export"]), listed);
        assert_eq!(site.does(&["key", "list"]), keys);
        let trail = site.does(&["audit", "tail", "--event", "session_ended", "--json"]);
        assert_eq!(trail.lines().count(), 2, "{trail}");
        site.stop();
    }
}

#[tokio::test]
async fn a_copy_that_broke_off_is_not_served_from_and_can_be_finished() {
    let redis = RedisServer::start().await;
    let mut site = Site::on("redb:data/relatch.redb");
    let node = site.start().await;
    site.add("ada");
    let mut ada = sign_in(&node, "ada").await;
    site.stop();
    let url = redis.url();
    site.does(&["store", "copy", "--to", &url]);
    // As it is left by a copy that does not get to its end.
    let marker = redis.say("GET relatch:marker");
    let kept: Value = serde_json::from_str(&marker).unwrap();
    let issuer = format!("{} (a copy that is not complete)", kept["issuer"].as_str().unwrap());
    let incomplete = json!({ "store_id": kept["store_id"], "issuer": issuer, "master_key_check": kept["master_key_check"] });
    redis.say(&format!("SET relatch:marker '{incomplete}'"));

    let from_there = site.fails(&["store", "copy", "--from", &url, "--to", "redb:new.redb"]);
    assert_eq!(from_there, "relatch: the store to copy from is a copy that is not complete\n");
    site.moves_to(&url);
    assert!(site.fails(&["user", "list"]).contains("(a copy that is not complete)"));
    site.does(&["store", "copy", "--from", "redb:data/relatch.redb"]);
    let node = site.start().await;
    ada = at(&node, &ada);
    ada.refresh().await.ok();
    assert_eq!(site.does(&["user", "list"]).lines().count(), 3);
}

#[tokio::test]
async fn what_is_no_store_is_not_copied() {
    let redis = RedisServer::start().await;
    let site = Site::on("redb:data/relatch.redb");
    let empty = "relatch: the store to copy from has no marker: it is empty, or not a store of Relatch\n";
    assert_eq!(site.fails(&["store", "copy", "--to", &redis.url()]), empty);
    assert!(!site.dir.path().join("data").exists(), "a store that was asked for is not made");
    assert_eq!(site.fails(&["store", "copy", "--from", &redis.url(), "--to", "redb:new.redb"]), empty);
    let arguments = ["store", "copy", "--to", "mysql://:hunter2@localhost"];
    let wrong = failed(run(command(site.dir.path(), &site.variables, &arguments), ""), 2);
    assert!(wrong.contains("it is not the URL of a store"), "{wrong}");
}

/// Where the data is, how a backup of it is made while no server runs, and how everything is wiped and restored from it.
trait Backup {
    fn save(&mut self, site: &Site);
    async fn restore(&mut self, site: &Site);
}

struct InFiles;

impl Backup for InFiles {
    fn save(&mut self, site: &Site) {
        site.does(&["store", "copy", "--to", "redb:backup.redb"]);
    }

    async fn restore(&mut self, site: &Site) {
        fs::remove_dir_all(site.dir.path().join("data")).unwrap();
        fs::create_dir(site.dir.path().join("data")).unwrap();
        fs::copy(site.dir.path().join("backup.redb"), site.dir.path().join("data/relatch.redb")).unwrap();
    }
}

/// With a snapshot, as it is written in the docs.
struct InRedis {
    redis: RedisServer,
    snapshot: TempDir,
}

impl Backup for InRedis {
    fn save(&mut self, _: &Site) {
        let port = self.redis.address().port().to_string();
        let file = self.snapshot.path().join("relatch.rdb");
        let saving = Process::new("redis-cli").args(["-p", &port, "--rdb"]).arg(&file).output().unwrap();
        assert!(saving.status.success() && file.exists(), "{saving:?}");
    }

    async fn restore(&mut self, _: &Site) {
        let redis = &mut self.redis;
        let directory = redis.say("CONFIG GET dir").lines().last().unwrap().to_owned();
        let directory = std::path::Path::new(&directory);
        redis.kill();
        fs::remove_dir_all(directory.join("appendonlydir")).unwrap();
        fs::copy(self.snapshot.path().join("relatch.rdb"), directory.join("dump.rdb")).unwrap();
        redis.from_now_on(&["--appendonly", "no"]);
        redis.restart().await;
        redis.say("CONFIG SET appendonly yes");
        let written =
            ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"];
        while !written.iter().all(|line| redis.told("INFO persistence").contains(line)) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        redis.from_now_on(&["--appendonly", "yes"]);
        redis.restart().await;
    }
}

/// Sessions go on; what was revoked before the backup stays revoked; what was revoked after it is revoked again by the
/// log, or with everybody else who had signed in before.
async fn a_backup_brings_back(mut site: Site, mut backup: impl Backup) {
    let node = site.start().await;
    site.add("ada");
    site.add("bob");
    let (mut ada, before, after) =
        (sign_in(&node, "ada").await, sign_in(&node, "ada").await, sign_in(&node, "bob").await);
    before.sign_out().await.expect(204);
    next_second().await;
    site.stop();
    let saved_at = now();
    backup.save(&site);
    let node = site.start().await;
    ada = at(&node, &ada);
    ada.refresh().await.ok();
    at(&node, &after).sign_out().await.expect(204);
    at(&node, &after).refresh().await.problem(401, "session_revoked");
    let log = site.stop();

    backup.restore(&site).await;
    let node = site.start().await;
    ada = at(&node, &ada);
    // Ahead of the record: it catches up.
    ada.refresh().await.ok();
    ada.refresh().await.ok();
    at(&node, &before).refresh().await.problem(401, "session_revoked");
    at(&node, &after).check().await.ok();

    let ended = log.iter().filter(|line| line["event"] == "session_ended");
    let ended: Vec<_> = ended.map(|line| line["session"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ended, std::slice::from_ref(&after.session_id), "{log:?}");
    for session in &ended {
        site.does(&["session", "revoke", session]);
    }
    at(&node, &after).refresh().await.problem(401, "session_revoked");
    ada.refresh().await.ok();

    site.does(&["session", "revoke", "--signed-in-before", &saved_at, "--reason", "restored", "--yes"]);
    ada.refresh().await.problem(401, "session_revoked");
    sign_in(&node, "ada").await.refresh().await.ok();
}

#[tokio::test]
async fn a_backup_of_the_embedded_store_brings_back_all_but_what_came_after_it() {
    a_backup_brings_back(Site::on("redb:data/relatch.redb"), InFiles).await;
}

#[tokio::test]
async fn a_backup_of_redis_brings_back_all_but_what_came_after_it() {
    let redis = RedisServer::builder().append_only().start().await;
    let site = Site::on(&redis.url());
    a_backup_brings_back(site, InRedis { redis, snapshot: TempDir::new().unwrap() }).await;
}
