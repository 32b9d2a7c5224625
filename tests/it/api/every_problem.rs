//! Every problem of the catalogue, brought about over HTTP on both stores, and its section in `docs/errors.md`.

mod broken;
mod refusals;
mod requests;
mod tokens;

use std::path::Path;

use futures_util::StreamExt as _;
use relatch::http::error::Code;
use relatch_testkit::{Answer, Device, On, TestApp};

/// Brings a problem about. Whoever adds a code to the catalogue adds its scenario to one of the rooms; nothing stands
/// for none, on neither store.
async fn bring_about(code: Code, on: On) -> Option<Answer> {
    if let Some(answer) = Box::pin(requests::bring_about(code, on.clone())).await {
        return Some(answer);
    }
    if let Some(answer) = Box::pin(tokens::bring_about(code, on.clone())).await {
        return Some(answer);
    }
    if let Some(answer) = Box::pin(refusals::bring_about(code, on.clone())).await {
        return Some(answer);
    }
    Box::pin(broken::bring_about(code, on)).await
}

async fn signed_in(on: On) -> (TestApp, Device) {
    let app = on.start().await;
    app.user("ada").await;
    let ada = app.sign_in("ada").await;
    (app, ada)
}

on_both_stores! {
    async fn every_problem_can_be_brought_about(on: On) {
        let scenarios = Code::ALL.map(|code| (code, on.clone()));
        let answers = futures_util::stream::iter(scenarios).map(async |(code, on)| (code, bring_about(code, on).await));
        let answers: Vec<_> = answers.buffered(8).collect().await;
        let mut without_scenario = Vec::new();
        for (code, answer) in answers {
            let entry = code.entry();
            match answer {
                Some(answer) => assert_eq!(answer.problem(entry.status, entry.error)["title"], entry.title),
                None => without_scenario.push(entry.error),
            }
        }
        assert_eq!(without_scenario, Vec::<&str>::new());
    }
}

#[test]
fn every_problem_has_a_section() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).unwrap();
    let sections = text.split("\n## ").skip(1).map(|section| section.split_once("\n\n").unwrap());
    let described: Vec<(String, String)> = sections
        .map(|(code, text)| (code.to_owned(), text.split("**").nth(1).unwrap_or_default().to_owned()))
        .collect();
    let wanted = Code::ALL.map(Code::entry);
    let wanted: Vec<_> = wanted
        .iter()
        .map(|entry| (entry.error.to_owned(), format!("{} {}.", entry.status, entry.title)))
        .collect();
    assert_eq!(described, wanted, "docs/errors.md, in the order of the catalogue");
}
