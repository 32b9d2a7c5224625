use serde_json::{Value, json};

use super::*;

/// Each record's line, and its user or why it is none.
fn read(text: &[u8], format: Format) -> Vec<(u64, Result<Value, String>)> {
    let mut reader = text;
    let mut records = Records::open(&mut reader, format).unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next().unwrap() {
        let user =
            record.user.map(|user| user.map_or(Value::Null, |user| serde_json::to_value(user).unwrap()));
        all.push((record.line, user));
    }
    all
}

fn refused_header(text: &str) -> String {
    let mut reader = text.as_bytes();
    Records::open(&mut reader, Format::Csv).map(drop).unwrap_err().to_string()
}

#[test]
fn each_column_becomes_what_it_is_called() {
    let text = "\u{feff}username,password_hash,roles,disabled,id,attr.tenant\r\n\
        ada,\"$argon2id$v=19$m=64,t=2,p=2$x$y\",billing user,true,42,\"a \"\"b\"\"\r\nc, d\"\r\n\
        \r\n\
        bob,,,,,\n\
        eve,\"\",\"a,b\",no,,x";
    let users = read(text.as_bytes(), Format::Csv);
    let ada = json!({ "id": "42", "username": "ada", "password_hash": "$argon2id$v=19$m=64,t=2,p=2$x$y",
        "roles": ["billing", "user"], "attributes": { "tenant": "a \"b\"\r\nc, d" }, "disabled": true });
    let eve =
        json!({ "username": "eve", "roles": ["a", "b"], "attributes": { "tenant": "x" }, "disabled": false });
    assert_eq!(
        users,
        [
            (2, Ok(ada)),
            (4, Ok(Value::Null)),
            (5, Ok(json!({ "username": "bob", "disabled": false }))),
            (6, Ok(eve))
        ]
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_part_of_json() {
    let text = "\u{feff}{\"username\":\"ada\"}\r\n\r\n{\"username\":\"bob\"}\r\n{\"username\":7}\r\n";
    let users = read(text.as_bytes(), Format::Jsonl);
    let named = |name| Ok(json!({ "username": name, "disabled": false }));
    let why = "not a user: invalid type: integer `7`, expected a string (column 13)".to_owned();
    assert_eq!(users, [(1, named("ada")), (2, Ok(Value::Null)), (3, named("bob")), (4, Err(why))]);
}

#[test]
fn a_record_that_is_none_is_refused_on_its_line_and_the_next_is_read() {
    let long = "x".repeat(MAX_LEN);
    let text = format!(
        "username,disabled\n{long},\na,b,c\n\"{long}\n\",\nx,maybe\n5\" pipe,\nx\ry,\nlast,1\n\"open,\n1\n"
    );
    let users = read(text.as_bytes(), Format::Csv);
    let expected = [
        (2, Err("longer than 16384 bytes")),
        (3, Err("3 fields, but the first line names 2; a field with a comma in it stands in double quotes")),
        (4, Err("longer than 16384 bytes")),
        (6, Err("disabled: neither true nor false")),
        (7, Ok("5\" pipe")),
        (8, Err("not one record of comma-separated values")),
        (9, Ok("last")),
        (10, Err("a quoted field that begins here is not closed")),
    ];
    for ((line, user), (expected_line, expected)) in users.iter().zip(expected) {
        let user = user.as_ref().map(|user| user["username"].as_str().unwrap()).map_err(String::as_str);
        assert_eq!((*line, user), (expected_line, expected));
    }
    assert_eq!(users.len(), 8);
    assert_eq!(read(b"username\nb\xfcb\n", Format::Csv), [(2, Err("not UTF-8".to_owned()))]);
}

#[test]
fn the_first_line_names_the_columns() {
    for (text, beginning) in [
        ("", "line 1: not one record"),
        ("name\n", "line 1: the column `name` is not known; columns are username"),
        ("username;id\n", "line 1: the column `username;id` is not known"),
        ("id\n", "line 1: there is no column `username`"),
        ("username,id,id\n", "line 1: the column `id` is there twice"),
        ("username,attr.a b\n", "line 1: the column `attr.a b` is not known"),
        (&"x".repeat(20_000), "line 1: longer than 16384 bytes"),
    ] {
        let why = refused_header(text);
        assert!(why.starts_with(beginning), "{why}");
    }
}

#[test]
fn the_name_says_the_format() {
    for (name, format) in
        [("u.csv", Format::Csv), ("U.CSV", Format::Csv), ("u.jsonl", Format::Jsonl), ("-", Format::Jsonl)]
    {
        assert_eq!(Format::of(Path::new(name)), format);
    }
}

#[test]
fn a_file_without_lines_is_given_up() {
    let text = "x".repeat(17 * 1024 * 1024);
    let mut reader = text.as_bytes();
    let error = Records::open(&mut reader, Format::Jsonl).unwrap().next().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "line 1: a record of more than 16777216 bytes: this is no file of users");
}
