//! The refusals of an operation, as the document lists them: by status, with the codes and their examples. All words
//! come from the catalogue.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::example::Example;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::error::Code;

/// What a part of a request can be refused with. Extractors say it of themselves.
pub trait Refuses {
    /// The codes, in any order; repetitions do no harm.
    fn codes() -> Vec<Code>;
}

/// What every request can be refused with, before a handler sees it or because something is broken.
pub const EVERYWHERE: [Code; 5] = [
    Code::InvalidRequest,
    Code::UriTooLong,
    Code::TooManyRequests,
    Code::HeadersTooLarge,
    Code::InternalError,
];

/// Names the refusals of one operation, for the `responses(…)` of its `#[utoipa::path]`: those of its extractors, and
/// after a semicolon the codes of its own.
macro_rules! problems {
    ($name:ident: $($part:ty),* $(; $($code:ident),+)?) => {
        #[doc = "The refusals of the operation."]
        pub struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                #[allow(unused_mut, reason = "an operation may have no refusals of its own")]
                let mut codes = $crate::http::openapi::problems::EVERYWHERE.to_vec();
                $(codes.extend(<$part as $crate::http::openapi::Refuses>::codes());)*
                $(codes.extend([$($crate::http::error::Code::$code),+]);)?
                $crate::http::openapi::problems::responses(&codes)
            }
        }
    };
}
pub(crate) use problems;

/// One response for each status, in which `error` is one of the codes.
pub fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    // In the order of the catalogue, each once.
    let codes = Code::ALL.into_iter().filter(|code| codes.contains(code));
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.entry().status).or_default().push(code);
    }
    by_status.iter().map(|(status, codes)| (status.to_string(), response(codes).into())).collect()
}

fn response(codes: &[Code]) -> Response {
    let names = codes.iter().map(|code| code.entry().error);
    let error = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.clone()));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().property("error", error));
    let examples =
        names.map(|name| (name, RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{name}")))));
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let lines = codes.iter().map(|code| format!("- `{}`: {}", code.entry().error, code.entry().title));
    ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n"))
        .content("application/problem+json", content)
        .build()
}

/// An example of each problem, by its code: what `components/examples` has.
pub fn examples() -> Value {
    let examples = Code::ALL.map(|code| {
        let entry = code.entry();
        (entry.error.to_owned(), json!({ "summary": entry.title, "value": example(code) }))
    });
    Value::Object(examples.into_iter().collect())
}

fn example(code: Code) -> Value {
    let entry = code.entry();
    let mut problem = json!({
        "type": format!("/errors/{}", entry.error),
        "title": entry.title,
        "status": entry.status,
        "detail": entry.detail,
        "instance": "55eb66a6-18f9-4532-bfa0-10f876b11a4b",
        "error": entry.error,
    });
    let more = match code {
        Code::InvalidRequest => json!({
            "detail": "username: is missing",
            "fields": [{ "field": "username", "message": "is missing" }],
        }),
        Code::SessionRevoked => json!({ "reason": "revoked_by_admin" }),
        _ => return problem,
    };
    if let (Some(problem), Value::Object(more)) = (problem.as_object_mut(), more) {
        problem.extend(more);
    }
    problem
}
