//! `GET /metrics` on the operators' listener, and the page that describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use relatch_testkit::{Node, On, PASSWORD, TestApp};
use serde_json::json;

async fn text(app: &TestApp) -> String {
    let node = Node::at(app.ops_base());
    let answer = node.send(node.get("/metrics")).await.expect(200);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(content_type));
    answer.text
}

/// The samples, by name and labels.
async fn samples(app: &TestApp) -> BTreeMap<String, f64> {
    let text = text(app).await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

on_both_stores! {
    async fn what_happens_is_counted(on: On) {
        let app = on.set("rate_limit.enabled", "false").start().await;
        app.user("ada").await;
        let before = samples(&app).await;
        let mut ada = app.sign_in("ada").await;
        app.login("ada", "wrong").await.problem(401, "invalid_credentials");
        ada.refresh().await.ok();
        ada.refresh().await.ok();
        ada.sign_out().await.expect(204);
        app.node.send(app.node.get("/no/such/path")).await.problem(404, "not_found");
        let after = samples(&app).await;
        let more = |name: &str| {
            let of = |samples: &BTreeMap<String, f64>| samples.get(name).copied().unwrap_or_default();
            of(&after) - of(&before)
        };
        for (name, by) in [
            (r#"relatch_sign_ins_total{outcome="succeeded"}"#, 1.0),
            (r#"relatch_sign_ins_total{outcome="refused"}"#, 1.0),
            (r#"relatch_refreshes_total{verdict="rotate"}"#, 2.0),
            (r#"relatch_sessions_ended_total{reason="signed_out"}"#, 1.0),
            (r#"relatch_http_requests_total{method="POST",route="/token/refresh",status="200"}"#, 2.0),
            (r#"relatch_http_requests_total{method="POST",route="/login",status="401"}"#, 1.0),
            (r#"relatch_http_requests_total{method="GET",route="unknown",status="404"}"#, 1.0),
            (r#"relatch_http_request_duration_seconds_count{method="POST",route="/login"}"#, 2.0),
            (r#"relatch_store_step_duration_seconds_count{step="rotate"}"#, 2.0),
            ("relatch_password_hash_duration_seconds_count", 2.0),
            ("relatch_revocation_duration_seconds_count", 1.0),
            ("relatch_revocations_in_doubt_total", 0.0),
        ] {
            assert!((more(name) - by).abs() < 1e-9, "{name}: {}", more(name));
        }
        assert!((after[r#"relatch_signing_keys{state="active"}"#] - 1.0).abs() < 1e-9);
        assert!(after["process_resident_memory_bytes"] > 1e6 && after["process_cpu_seconds_total"] > 0.0);
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_counted_and_the_metrics_answer() {
    let mut app = On::redis().start().await;
    let mut admin = app.admin().await;
    app.redis().kill();
    admin.refresh().await.problem(503, "temporarily_unavailable");
    let after = samples(&app).await;
    let errors = |class: &str| after[&format!("relatch_store_errors_total{{class=\"{class}\"}}")];
    assert!(errors("unavailable") + errors("indeterminate") >= 1.0, "{after:?}");
}

/// Whatever clients send, there are no more series than routes, methods and statuses allow.
#[tokio::test]
async fn no_client_makes_a_label() {
    let app = On::embedded().start().await;
    for number in 0..50 {
        let method = if number % 2 == 0 { "GET" } else { "BREW" };
        app.node.send(app.node.request(method, &format!("/made/up/{number}"))).await;
        app.node.send(app.node.get(&format!("/errors/made-up-{number}"))).await;
    }
    let body = json!({ "username": "made-up", "password": PASSWORD });
    app.post_json("/login", &body).await;
    let text = text(&app).await;
    assert!(!text.contains("made") && !text.contains("BREW"), "{text}");
    assert!(text.contains(r#"{method="other",route="unknown",status="404"} 25"#), "{text}");
}

#[tokio::test]
async fn the_public_listener_has_no_metrics() {
    let app = On::embedded().start().await;
    app.node.send(app.node.get("/metrics")).await.problem(404, "not_found");
}

#[tokio::test]
async fn every_metric_is_described_and_nothing_else() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let described: BTreeSet<(String, String)> = rows
        .map(|row| row.split("` | ").map(str::to_owned).collect::<Vec<_>>())
        .map(|cells| (cells[0].clone(), cells[1].split(' ').next().unwrap().to_owned()))
        .collect();
    let app = On::embedded().start().await;
    let text = text(&app).await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let there: BTreeSet<_> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    assert_eq!(described, there);
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_operators_listener_is_asked_by_its_own_names_only() {
    let app = On::embedded().set("ops.allowed_hosts", "relatch.internal").start().await;
    let ops = Node::at(app.ops_base());
    for (host, admitted) in [
        ("localhost:9090", true),
        ("127.0.0.1", true),
        ("relatch.internal:9090", true),
        ("rebound.example:9090", false),
    ] {
        let answer = ops.send(ops.get("/metrics").header("Host", host)).await;
        if admitted {
            answer.expect(200);
        } else {
            answer.problem(400, "invalid_request");
        }
    }
    let here = &app.node;
    here.send(here.get("/health/live").header("Host", "any.example")).await.expect(200);
}
