//! What the dashboard and the alert rules ask for is there.

use std::collections::BTreeSet;

use relatch::http::routes::known;
use relatch_testkit::{Node, On};
use serde_json::Value;
use yaml_rust2::YamlLoader;

use super::files::{path, text};

/// Every expression, with the place where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let alerts = &YamlLoader::load_from_str(&text("deploy/monitoring/alerts.yml")).unwrap()[0];
    for group in alerts["groups"].as_vec().unwrap() {
        for rule in group["rules"].as_vec().unwrap() {
            let name = rule["alert"].as_str().unwrap().to_owned();
            assert!(
                ["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()),
                "{name}"
            );
            assert!(!rule["annotations"]["summary"].as_str().unwrap().is_empty(), "{name}");
            all.push((name, rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    let dashboard: Value = serde_json::from_str(&text("deploy/monitoring/relatch.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap().to_owned();
            all.push((title, target["expr"].as_str().unwrap().to_owned()));
        }
    }
    all
}

/// The names of metrics in an expression, and the labels that must have a value: `name="value"`.
fn asked_for(expression: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c: char| !is_of_name(c));
    let names = words.filter(|word| word.starts_with("relatch_") || word.starts_with("process_"));
    let pairs = expression.split(['{', '}', ',']).filter_map(|part| part.trim().split_once("=\""));
    let labels = pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
    (names.map(str::to_owned).collect(), labels.collect())
}

#[tokio::test]
async fn every_metric_and_label_that_is_asked_for_is_there() {
    let app = On::redis().start().await;
    app.user("ada").await;
    let mut ada = app.sign_in("ada").await;
    ada.refresh().await.ok();
    let node = Node::at(app.ops_base());
    let metrics = node.send(node.get("/metrics")).await.expect(200).text;
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let (mut asked, mut count) = (BTreeSet::new(), 0);
    for (place, expression) in expressions() {
        let (names, labels) = asked_for(&expression);
        assert!(!names.is_empty() || expression.starts_with("up{"), "{place}: {expression}");
        for name in &names {
            assert!(there.contains(name.as_str()), "{place}: there is no {name}");
        }
        for (label, value) in labels {
            let is_there = match label.as_str() {
                // What Prometheus adds; the scrape configuration names it.
                "job" => text("deploy/monitoring/prometheus.yml").contains(&format!("job_name: {value}\n")),
                "route" => known(&value).is_some(),
                _ => metrics.contains(&format!("{label}=\"{value}\"")),
            };
            assert!(is_there, "{place}: {label}=\"{value}\"");
        }
        asked.extend(names);
        count += 1;
    }
    assert!(count > 25 && asked.len() > 15, "{count} expressions, {asked:?}");
}

#[test]
fn what_is_asked_for_is_found_in_an_expression() {
    let (names, labels) =
        asked_for(r#"sum by (le) (rate(relatch_x_bucket{route="/a", status=~"5.."}[5m])) > process_y"#);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["process_y", "relatch_x_bucket"]);
    assert_eq!(labels, [("route".to_owned(), "/a".to_owned())]);
}

#[test]
fn the_files_find_one_another() {
    let compose = text("docker-compose.yml");
    for file in std::fs::read_dir(path("deploy/monitoring")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(compose.contains(&format!("./deploy/monitoring/{name}:")), "{name} is mounted nowhere");
    }
    assert!(text("deploy/monitoring/prometheus.yml").contains("rule_files: [/etc/prometheus/alerts.yml]"));
    assert!(compose.contains(":/etc/prometheus/alerts.yml:ro"));
    let source =
        &YamlLoader::load_from_str(&text("deploy/monitoring/datasource.yml")).unwrap()[0]["datasources"][0];
    assert_eq!(source["uid"].as_str(), Some("prometheus"));
    assert_eq!(source["url"].as_str(), Some("http://prometheus:9090"));
    let dashboard: Value = serde_json::from_str(&text("deploy/monitoring/relatch.json")).unwrap();
    assert!(
        dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .all(|panel| panel["datasource"]["uid"] == "prometheus")
    );
}
