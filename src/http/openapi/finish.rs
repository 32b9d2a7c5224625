//! What the document gets beyond the annotations, once for all operations.

use serde_json::{Map, Value, json};

use super::problems;

type Object = Map<String, Value>;

/// Adds what is the same everywhere: the headers of every answer, an example for every body, and the examples of all
/// problems.
pub(super) fn finish(document: &mut Value) {
    for schema in objects_below(document, "/components/schemas") {
        exactly_one(schema);
    }
    let schemas = document.pointer("/components/schemas").cloned().unwrap_or_default();
    for path in objects_below(document, "/paths") {
        for operation in path.values_mut().filter_map(Value::as_object_mut) {
            complete(operation, &schemas);
        }
    }
    if let Some(components) = document.pointer_mut("/components").and_then(Value::as_object_mut) {
        components.insert("examples".to_owned(), problems::examples());
    }
}

fn objects_below<'a>(document: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Object> {
    let object = document.pointer_mut(pointer).and_then(Value::as_object_mut);
    object.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

fn complete(operation: &mut Object, schemas: &Value) {
    if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) {
        give_example(body, schemas);
    }
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        if let Some(response) = response.as_object_mut() {
            give_example(response, schemas);
            give_headers(response, status);
        }
    }
}

/// Gives JSON bodies without an example one that is made of the examples of their fields.
fn give_example(body: &mut Object, schemas: &Value) {
    let content = body.get_mut("content").and_then(Value::as_object_mut);
    for (media_type, content) in content.into_iter().flatten() {
        let Some(content) = content.as_object_mut().filter(|_| media_type.ends_with("json")) else {
            continue;
        };
        if content.contains_key("example") || content.contains_key("examples") {
            continue;
        }
        if let Some(example) = content.get("schema").and_then(|schema| example_of(schema, schemas)) {
            content.insert("example".to_owned(), example);
        }
    }
}

/// The first example that a schema names, or else one made of those of its parts.
fn example_of(schema: &Value, schemas: &Value) -> Option<Value> {
    if let Some(example) = schema.pointer("/examples/0").or_else(|| schema.pointer("/enum/0")) {
        return Some(example.clone());
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return example_of(schemas.get(name)?, schemas);
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let parts = parts.iter().filter_map(|part| example_of(part, schemas));
        let fields = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Some(Value::Object(fields.collect()));
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        return choices.iter().find_map(|choice| example_of(choice, schemas));
    }
    if let Some(items) = schema.get("items") {
        return Some(json!([example_of(items, schemas)?]));
    }
    let fields = schema.get("properties")?.as_object()?;
    let example = |(name, field): (&String, &Value)| Some((name.clone(), example_of(field, schemas)?));
    Some(Value::Object(fields.iter().filter_map(example).collect()))
}

fn give_headers(response: &mut Object, status: &str) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let mut headers = vec![("X-Request-Id", true, json!({ "type": "string", "format": "uuid" }))];
    match status {
        "401" => headers.push(("WWW-Authenticate", true, text("A Bearer challenge (RFC 6750, section 3)"))),
        "403" => headers.push(("WWW-Authenticate", false, text("The scope that is missing"))),
        "429" | "503" => {
            let seconds = json!({ "type": "integer", "minimum": 1, "description": "Seconds" });
            headers.push(("Retry-After", true, seconds));
        }
        _ => {}
    }
    let known = response.entry("headers").or_insert_with(|| json!({}));
    for (name, required, schema) in headers {
        if let Some(known) = known.as_object_mut() {
            known.insert(name.to_owned(), json!({ "required": required, "schema": schema }));
        }
    }
}

/// Turns fields marked with `x-alternative` into the schema that says: exactly one of them. One that is null counts as
/// absent.
fn exactly_one(schema: &mut Object) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let mut fields = Vec::new();
    for (name, property) in properties.into_iter().flatten() {
        if property.as_object_mut().and_then(|property| property.remove("x-alternative")).is_some() {
            fields.push(name.clone());
        }
    }
    if fields.is_empty() {
        return;
    }
    let choices = fields.iter().map(|chosen| {
        let kind = |field: &String| {
            let kind = if field == chosen {
                json!({ "not": { "type": "null" } })
            } else {
                json!({ "type": "null" })
            };
            (field.clone(), kind)
        };
        json!({ "required": [chosen], "properties": fields.iter().map(kind).collect::<Object>() })
    });
    let choices = choices.collect();
    schema.insert("oneOf".to_owned(), Value::Array(choices));
}
