//! The pair of tokens as the document shows it: one answer for each delivery.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// The answer 200 of a sign-in.
pub struct SignedInPair;

/// The answer 200 of a refresh.
pub struct RefreshedPair;

impl IntoResponses for SignedInPair {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let user =
            json!({ "id": "01a1fdab-6a07-786f-997e-d0ae0e2646b6", "username": "ada", "roles": ["user"] });
        answer("The pair, and who signed in", &json!({ "user": user }))
    }
}

impl IntoResponses for RefreshedPair {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        answer("The new pair, by the delivery of the sign-in", &json!({}))
    }
}

fn answer(description: &str, further: &Value) -> BTreeMap<String, RefOr<Response>> {
    let examples = [
        ("body", "Both tokens are here", &["access_token", "refresh_token"][..]),
        ("hybrid", "The refresh token is in its cookie, a copy of the access token too", &["access_token"]),
        ("cookie", "Both tokens are in cookies", &[]),
    ];
    let examples = examples.map(|(delivery, summary, tokens)| {
        let example = ExampleBuilder::new().summary(summary).value(Some(pair(tokens, further))).build();
        (delivery, RefOr::<Example>::T(example))
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("TokenPair")))
        .examples_from_iter(examples)
        .build();
    let set_cookie = "Not with delivery `body`. The cookie `__Host-relatch-rt` with the refresh token, and one with the access token: \
         `__Host-relatch-pair` with delivery `hybrid`, `__Host-relatch-at` with delivery `cookie`. Each has `HttpOnly`, \
         `Secure`, `Path=/`, a `SameSite`, and the `Max-Age` of the session. A left-over one of an earlier sign-in is \
         cleared.";
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let set_cookie = HeaderBuilder::new().schema(Some(text)).description(Some(set_cookie)).build();
    let response = ResponseBuilder::new()
        .description(description)
        .header("Set-Cookie", set_cookie)
        .content("application/json", content)
        .build();
    BTreeMap::from([("200".to_owned(), response.into())])
}

/// A pair of which these tokens are in the body.
fn pair(tokens: &[&str], further: &Value) -> Value {
    let all = [
        ("access_token", json!("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIwMWEx….c2lnbmF0dXJl")),
        ("token_type", json!("Bearer")),
        ("expires_in", json!(900)),
        ("refresh_token", json!("rlt1_AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")),
        ("refresh_expires_in", json!(1_209_600)),
        ("session_id", json!("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")),
    ];
    let is_here = |name: &str| !name.ends_with("_token") || tokens.contains(&name);
    let fields = all.into_iter().filter(|(name, _)| is_here(name));
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    fields.chain(further.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone()))).collect()
}
