//! A small check of values against JSON Schema: the keywords that the document uses, and a failure for all others.

use regex_lite::Regex;
use serde_json::{Value, json};

/// Where `value` does not keep to `schema`, each in a few words.
pub(super) fn violations(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(document, schema, value, "", &mut wrong);
    wrong
}

/// The schema itself, or the first choice of it that is an object.
pub(super) fn first_object<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = super::resolve(document, schema);
    let choices = schema["oneOf"].as_array().filter(|_| schema.get("properties").is_none());
    let choices = choices.into_iter().flatten().map(|choice| super::resolve(document, choice));
    choices.into_iter().find(|choice| choice.get("properties").is_some()).unwrap_or(schema)
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let keep = |schema: &Value| violations(document, schema, value).is_empty();
    let characters = value.as_str().map(|text| text.chars().count() as u64);
    let items = value.as_array().map(|items| items.len() as u64);
    let fields = value.as_object().map(|fields| fields.len() as u64);
    for (keyword, wanted) in schema.as_object().unwrap_or_else(|| panic!("{schema} at {at}")) {
        let kept = match keyword.as_str() {
            "$ref" => return check(document, super::resolve(document, schema), value, at, wrong),
            "title" | "description" | "examples" | "default" | "format" | "deprecated" | "uniqueItems" => {
                true
            }
            "type" => is_one_of(wanted, value),
            "enum" => wanted.as_array().unwrap().contains(value),
            "not" => !keep(wanted),
            "oneOf" => wanted.as_array().unwrap().iter().filter(|choice| keep(choice)).count() == 1,
            "allOf" => wanted.as_array().unwrap().iter().all(keep),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
            "minLength" => characters.is_none_or(|count| count >= wanted.as_u64().unwrap()),
            "maxLength" => characters.is_none_or(|count| count <= wanted.as_u64().unwrap()),
            "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
            "minItems" => items.is_none_or(|items| items >= wanted.as_u64().unwrap()),
            "maxItems" => items.is_none_or(|items| items <= wanted.as_u64().unwrap()),
            "minProperties" => fields.is_none_or(|fields| fields >= wanted.as_u64().unwrap()),
            "maxProperties" => fields.is_none_or(|fields| fields <= wanted.as_u64().unwrap()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, wanted, item, &format!("{at}/{index}"), wrong);
                }
                true
            }
            "properties" => {
                for (name, property) in wanted.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        check(document, property, field, &format!("{at}/{name}"), wrong);
                    }
                }
                true
            }
            "required" => {
                wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "propertyNames" => names(value).all(|name| violations(document, wanted, &json!(name)).is_empty()),
            "additionalProperties" => {
                for (name, field) in further(schema, value) {
                    match wanted {
                        Value::Bool(true) => {}
                        Value::Bool(false) => wrong.push(format!("{at}: {keyword} {wanted}")),
                        wanted => check(document, wanted, field, &format!("{at}/{name}"), wrong),
                    }
                }
                true
            }
            other => panic!("the keyword {other} at {at} is not known to this check"),
        };
        if !kept {
            wrong.push(format!("{at}: {keyword} {wanted}"));
        }
    }
}

fn names(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(serde_json::Map::keys)
}

/// The fields that the schema does not name.
fn further<'a>(schema: &'a Value, value: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter(|(name, _)| schema["properties"].get(name).is_none())
}

fn is_one_of(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
        kind => is(kind, value),
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known to this check"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
}
