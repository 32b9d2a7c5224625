//! How users' attributes look in the document. That all of them together have at most 1,024 bytes cannot be said in a
//! schema.

use relatch_domain::attributes::Attributes;
use serde_json::json;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, SchemaType, Type};

/// A user's attributes.
pub fn all() -> Object {
    let description = "What the application keeps with the user: at most 1,024 bytes of JSON.";
    let attributes = object(value()).max_properties(Some(Attributes::MAX)).description(Some(description));
    attributes.examples([json!({ "tenant": "acme" })]).build()
}

/// A merge patch of them.
pub fn patch() -> Object {
    let example = json!({ "tenant": "acme", "trial": null });
    let kinds = [Type::Object, Type::Null];
    let value = value().item(ObjectBuilder::new().schema_type(Type::Null));
    let description = "Sets attributes, and removes those that are `null` here; the others stay. `null` for all of \
        them removes all. What is left has at most 1,024 bytes of JSON.";
    let patch = object(value).schema_type(SchemaType::from_iter(kinds)).description(Some(description));
    patch.examples([example]).build()
}

fn object(value: OneOfBuilder) -> ObjectBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_.:-]{1,64}$"));
    let names = Some(Schema::Object(name.build()));
    ObjectBuilder::new().property_names(names).additional_properties(Some(Schema::from(value)))
}

fn value() -> OneOfBuilder {
    const SAFE: isize = 9_007_199_254_740_991;
    let of = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let text = || of(Type::String).max_length(Some(Attributes::MAX_BYTES));
    OneOfBuilder::new()
        .item(of(Type::Boolean))
        .item(of(Type::Integer).minimum(Some(-SAFE)).maximum(Some(SAFE)))
        .item(text())
        .item(ArrayBuilder::new().items(text()))
}
