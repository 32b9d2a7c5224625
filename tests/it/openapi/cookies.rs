//! What the document says about cookies, beside what the code does with them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{bodies, codes, document, examples, operations};

/// The operations that answer with a new pair.
const PAIRS: [&str; 2] = ["POST /login", "POST /token/refresh"];

fn schemes(operation: &Value) -> Vec<BTreeSet<&str>> {
    let choices = operation["security"].as_array().unwrap().iter();
    choices.map(|choice| choice.as_object().unwrap().keys().map(String::as_str).collect()).collect()
}

/// The operations of which this holds.
fn those(document: &Value, holds: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let operations = operations(document).into_iter();
    operations.filter(|(name, operation)| holds(name, operation)).map(|(name, _)| name).collect()
}

#[test]
fn the_access_cookie_is_a_credential_wherever_a_bearer_token_is() {
    let document = document();
    let alone = |scheme: &'static str| {
        move |_: &str, operation: &Value| schemes(operation).contains(&BTreeSet::from([scheme]))
    };
    let mut by_bearer = those(&document, alone("bearer"));
    // A refresh token stands beside it there.
    by_bearer.retain(|name| name != "POST /token/refresh");
    assert_eq!(those(&document, alone("accessCookie")), by_bearer);
    assert!(by_bearer.len() > 20, "{by_bearer:?}");
    let with = |scheme: &'static str| {
        those(&document, |_, operation| schemes(operation).iter().any(|choice| choice.contains(scheme)))
    };
    assert_eq!(with("pairCookie"), ["POST /token/refresh"]);
    assert_eq!(with("refreshCookie"), ["POST /logout", "POST /token/refresh"]);
    for (scheme, cookie) in [("accessCookie", "at"), ("pairCookie", "pair"), ("refreshCookie", "rt")] {
        let described = &document["components"]["securitySchemes"][scheme];
        assert_eq!(described["type"], "apiKey");
        assert_eq!(described["in"], "cookie");
        assert_eq!(described["name"], format!("__Host-relatch-{cookie}"));
    }
}

#[test]
fn whatever_changes_something_by_a_cookie_may_be_cross_site_and_nothing_else() {
    let document = document();
    let changes = those(&document, |name, operation| {
        let by_cookie = schemes(operation).iter().flatten().any(|scheme| scheme.ends_with("Cookie"));
        !name.starts_with("GET ") && (by_cookie || sets_cookies(operation))
    });
    let refused = those(&document, |_, operation| codes(operation).contains("cross_site_request"));
    assert_eq!(refused, changes);
    assert!(refused.len() > 12, "{refused:?}");
}

#[test]
fn a_token_can_be_too_large_where_a_pair_is_answered() {
    let document = document();
    let too_large = those(&document, |_, operation| codes(operation).contains("token_too_large"));
    assert_eq!(too_large, PAIRS);
}

fn sets_cookies(operation: &Value) -> bool {
    let responses = operation["responses"].as_object().unwrap().values();
    let mut headers = responses.filter_map(|response| response["headers"].get("Set-Cookie"));
    headers.any(|header| header["description"].as_str().is_some_and(|text| text.len() > 20))
}

#[test]
fn the_answers_that_set_cookies_say_so() {
    let document = document();
    let described = those(&document, |_, operation| sets_cookies(operation));
    let expected = ["GET /auth/check", "POST /login", "POST /logout", "POST /token/refresh", "PUT /password"];
    assert_eq!(described, expected);
}

#[test]
fn each_delivery_has_an_example_with_the_tokens_that_are_in_the_body() {
    let document = document();
    let operations = operations(&document);
    for name in PAIRS {
        let bodies = bodies(name, operations[name]);
        let (_, _, pair) = bodies.iter().find(|(place, _, _)| place.ends_with(", 200")).unwrap();
        for (delivery, access, refresh) in
            [("body", true, true), ("hybrid", true, false), ("cookie", false, false)]
        {
            let example = &pair["examples"][delivery]["value"];
            assert_eq!(example["token_type"], "Bearer", "{name}, {delivery}");
            assert_eq!(example.get("access_token").is_some(), access, "{name}, {delivery}");
            assert_eq!(example.get("refresh_token").is_some(), refresh, "{name}, {delivery}");
            assert_eq!(example.get("user").is_some(), name == "POST /login", "{name}, {delivery}");
        }
        assert_eq!(examples(&document, pair).len(), 3, "{name}");
    }
    let sign_in = &operations["POST /login"]["requestBody"]["content"]["application/json"]["examples"];
    for delivery in ["hybrid", "cookie"] {
        assert_eq!(sign_in[delivery]["value"]["delivery"], delivery);
    }
    let delivery = &document["components"]["schemas"]["SignIn"]["properties"]["delivery"];
    assert_eq!(
        (&delivery["enum"], &delivery["default"]),
        (&json!(["body", "hybrid", "cookie"]), &json!("body"))
    );
}
