//! The document at `/openapi.json`, held to the routes, to the catalogue of problems and to its own schemas.

mod cookies;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use relatch::http::error::Code;
use relatch::http::{openapi, routes};
use serde_json::Value;

/// Paths that people look at, not programs.
const NOT_IN_THE_DOCUMENT: [&str; 2] = ["/docs", "/docs/{file:.*}"];

fn document() -> Value {
    serde_json::from_str(openapi::document::json()).unwrap()
}

/// Each operation, by its method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    operations.collect()
}

/// Each body that an operation takes or gives: where it is, its media type, and the media type object.
fn bodies<'a>(name: &str, operation: &'a Value) -> Vec<(String, String, &'a Value)> {
    let mut bodies = Vec::new();
    let mut of = |place: &str, body: &'a Value| {
        for (media_type, content) in body["content"].as_object().into_iter().flatten() {
            bodies.push((format!("{name}, {place}"), media_type.clone(), content));
        }
    };
    of("request", &operation["requestBody"]);
    for (status, response) in operation["responses"].as_object().unwrap() {
        of(status, response);
    }
    bodies
}

/// The value behind `{"$ref": …}`, or the value itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => document.pointer(path.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{path}")),
        None => value,
    }
}

/// The examples of a body.
fn examples<'a>(document: &'a Value, content: &'a Value) -> Vec<&'a Value> {
    let many = content["examples"].as_object().into_iter().flat_map(serde_json::Map::values);
    let many = many.map(|example| &resolve(document, example)["value"]);
    content.get("example").into_iter().chain(many).collect()
}

/// The codes that an operation can answer with.
fn codes(operation: &Value) -> BTreeSet<&str> {
    let responses = operation["responses"].as_object().unwrap().values();
    let errors = responses.flat_map(|response| {
        let schema = &response["content"]["application/problem+json"]["schema"];
        schema["allOf"][1]["properties"]["error"]["enum"].as_array().into_iter().flatten()
    });
    errors.filter_map(Value::as_str).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described: BTreeSet<String> = operations(&document).into_keys().collect();
    let served = routes::table().into_iter().filter(|(path, _)| !NOT_IN_THE_DOCUMENT.contains(path));
    let served =
        served.flat_map(|(path, methods)| methods.into_iter().map(move |method| format!("{method} {path}")));
    assert_eq!(described, served.collect());
}

#[test]
fn every_problem_is_described_where_it_can_happen() {
    let document = document();
    let examples = document["components"]["examples"].as_object().unwrap();
    let operations = operations(&document);
    let answered: BTreeSet<&str> = operations.values().flat_map(|operation| codes(operation)).collect();
    for code in Code::ALL {
        let name = code.entry().error;
        assert_eq!(examples[name]["value"]["status"], code.entry().status, "{name}");
        // No operation answers with it: it is the answer of a path to other methods.
        assert!(code == Code::MethodNotAllowed || answered.contains(name), "{name} is answered nowhere");
    }
    assert_eq!(examples.len(), Code::ALL.len());
}

#[test]
fn every_operation_says_what_it_is_and_who_may_call_it() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        for field in ["operationId", "summary", "description"] {
            assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: operationId is not unique");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name} has no tag");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{name} has no security"));
        let schemes = document["components"]["securitySchemes"].as_object().unwrap();
        for scheme in security.iter().flat_map(|choice| choice.as_object().unwrap().keys()) {
            assert!(schemes.contains_key(scheme), "{name}: {scheme}");
        }
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "414", "429", "431", "500"] {
            assert!(responses.contains_key(status), "{name} has no {status}: are its problems there?");
        }
        // Whoever must show a token can be told that it is missing or wrong.
        let open = security.iter().any(|choice| choice.as_object().unwrap().is_empty());
        assert!(open || responses.contains_key("401"), "{name} has no 401");
    }
}

#[test]
fn every_answer_has_its_headers() {
    let document = document();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let required = |header: &str| response["headers"][header]["required"] == true;
            assert!(required("X-Request-Id"), "{name}, {status}");
            assert!(status != "401" || required("WWW-Authenticate"), "{name}, {status}");
            assert!(
                !["429", "503"].contains(&status.as_str()) || required("Retry-After"),
                "{name}, {status}"
            );
        }
    }
}

#[test]
fn every_body_has_examples_that_keep_to_its_schema() {
    let document = document();
    let mut checked = 0;
    for (name, operation) in operations(&document) {
        for (place, media_type, content) in bodies(&name, operation) {
            if !media_type.ends_with("json") {
                continue;
            }
            let examples = examples(&document, content);
            assert!(!examples.is_empty(), "{place} has no example");
            for example in examples {
                let wrong = schema::violations(&document, &content["schema"], example);
                assert_eq!(wrong, Vec::<String>::new(), "{place}: {example}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} examples");
}

#[test]
fn every_field_is_described_and_requests_are_strict() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let described = property.get("description").is_some() || property.get("$ref").is_some();
            assert!(described || property.get("oneOf").is_some(), "{name}.{field} has no description");
            assert!(!field.starts_with('_') && property.get("x-alternative").is_none(), "{name}.{field}");
        }
    }
    for (name, operation) in operations(&document) {
        let Some(body) = operation["requestBody"]["content"].get("application/json") else { continue };
        let schema = resolve(&document, &body["schema"]);
        assert_eq!(schema["additionalProperties"], false, "{name} takes fields that it does not know");
    }
}

#[test]
fn the_check_itself_sees_a_violation() {
    let document = document();
    let schema = &document["components"]["schemas"]["SignIn"];
    let violations =
        |example: &str| schema::violations(&document, schema, &serde_json::from_str(example).unwrap()).len();
    assert_eq!(violations(r#"{"username": "ada", "password": "x"}"#), 0);
    for wrong in [
        r#"{"username": "ada"}"#,
        r#"{"username": 7, "password": "x"}"#,
        r#"{"username": "ada", "password": "x", "more": 1}"#,
        r#"{"username": "ada", "password": "x", "delivery": "pigeon"}"#,
    ] {
        assert_eq!(violations(wrong), 1, "{wrong}");
    }
}
