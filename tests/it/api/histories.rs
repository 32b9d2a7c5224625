//! What the histories of one account may take up, and who pays for them.

use std::time::{Duration, Instant};

use relatch_testkit::actor::Pair;
use relatch_testkit::{Device, TestApp};
use serde_json::Value;

/// As many bytes as are kept of a `User-Agent`. As JSON each of them takes two.
const AGENT: usize = 256;
/// Sessions that are noisy, and refreshes of each: 32 lines of more than 600 bytes are 20 kB a session.
const NOISY: usize = 16;
const REFRESHES: usize = 33;
/// Bytes that the histories of one user may take up.
const LIMIT: usize = 200_000;

/// Refreshes with this `User-Agent`.
async fn refresh_with(device: &mut Device, agent: &str) {
    let request = device
        .node
        .post("/token/refresh")
        .header("User-Agent", agent)
        .bearer_auth(&device.pair.access)
        .json(&serde_json::json!({ "refresh_token": device.pair.refresh }));
    device.pair = Pair::of(&device.node.send(request).await.ok());
}

/// A `User-Agent` of the longest form that is kept, another one for each number.
fn agent(number: usize) -> String {
    format!("{number:06}{}", "\"".repeat(AGENT - 6))
}

/// The agents of all that happened to a session, as its timeline has them, the latest first.
async fn agents(device: &Device) -> Vec<String> {
    let page = device.get(&format!("/sessions/{}/timeline?limit=200", device.session_id)).await.ok();
    let moved = |item: &&Value| item["event"] == "moved";
    let items = page["items"].as_array().unwrap().iter().filter(moved);
    items.map(|item| item["user_agent"].as_str().unwrap().to_owned()).collect()
}

async fn until_told(device: &Device, agent: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while agents(device).await.first().is_none_or(|latest| latest != agent) {
        assert!(Instant::now() < deadline, "not in the timeline: {agent}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A quiet session with one line of history, and noisy ones of the same user that refresh with a new agent each time.
async fn a_noisy_account(app: &TestApp) -> (Device, Vec<Device>) {
    app.user("ada").await;
    let mut quiet = app.sign_in("ada").await;
    refresh_with(&mut quiet, "quiet/1").await;
    let mut noisy = Vec::new();
    for number in 0..NOISY {
        let mut device = app.sign_in("ada").await;
        for round in 0..REFRESHES {
            refresh_with(&mut device, &agent(number * REFRESHES + round)).await;
        }
        noisy.push(device);
    }
    until_told(noisy.last().unwrap(), &agent(NOISY * REFRESHES - 1)).await;
    (quiet, noisy)
}

on_both_stores! {
    async fn one_account_keeps_no_more_than_its_share_and_a_quiet_session_its_history(on: On) {
        let app = on.start().await;
        let (quiet, noisy) = a_noisy_account(&app).await;
        let mut bytes = 0;
        for device in &noisy {
            let kept = agents(device).await;
            assert!(!kept.is_empty() && kept.len() <= 32, "{} lines", kept.len());
            bytes += kept.iter().map(|agent| serde_json::to_string(agent).unwrap().len()).sum::<usize>();
        }
        assert!((LIMIT / 2..=LIMIT).contains(&bytes), "{bytes} bytes of agents alone");
        assert_eq!(agents(&quiet).await, ["quiet/1"]);
    }
}

#[tokio::test]
async fn histories_are_read_for_timelines_only() {
    let mut app = relatch_testkit::On::redis().start().await;
    let (quiet, _) = a_noisy_account(&app).await;
    let output = |app: &mut TestApp| {
        let stats = app.redis().told("INFO stats");
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = output(&mut app);
    quiet.get("/sessions").await.ok();
    let mut thief = app.sign_in("ada").await;
    let robbed = thief.clone();
    for _ in 0..2 {
        thief.refresh().await.ok();
    }
    robbed.send_refresh(None).await.problem(401, "refresh_token_reused");
    // Four lists of the sessions, their records and details: some kilobytes each, and what the node looks at by itself.
    let read = output(&mut app) - before;
    assert!(read < 60_000, "{read} bytes of Redis, of {LIMIT} of histories");
}
