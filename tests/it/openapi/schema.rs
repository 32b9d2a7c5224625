//! A small check of values against JSON Schema: the keywords that the document uses, and a failure for all others.

use regex_lite::Regex;
use serde_json::Value;

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
    choices.into_iter().find(|choice| choice["type"] == "object").unwrap_or(schema)
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let keep = |schema: &Value| violations(document, schema, value).is_empty();
    for (keyword, wanted) in schema.as_object().unwrap_or_else(|| panic!("{schema} at {at}")) {
        let kept = match keyword.as_str() {
            "$ref" => return check(document, super::resolve(document, schema), value, at, wrong),
            "title" | "description" | "examples" | "default" | "format" | "deprecated" | "uniqueItems" => {
                true
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "not" => !keep(wanted),
            "oneOf" => wanted.as_array().unwrap().iter().filter(|choice| keep(choice)).count() == 1,
            "allOf" => wanted.as_array().unwrap().iter().all(keep),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap())
            }
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap())
            }
            "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
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
            "additionalProperties" => {
                let known = |name: &String| schema["properties"].get(name).is_some();
                *wanted != Value::Bool(false)
                    || value.as_object().is_none_or(|fields| fields.keys().all(known))
            }
            other => panic!("the keyword {other} at {at} is not known to this check"),
        };
        if !kept {
            wrong.push(format!("{at}: {keyword} {wanted}"));
        }
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
