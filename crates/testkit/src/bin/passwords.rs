//! Makes and verifies password hashes, one JSON object a line, for whoever compares them with other software's: a
//! `password` alone gives its hash at the lowest cost, one with a `hash` whether it is the right one.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::indexing_slicing, reason = "its user is a test")]

use std::io::{self, BufRead as _};

use relatch::ambient::Random;
use relatch::keys::password::{Cost, PasswordHash};
use relatch_domain::password_rules::Password;
use serde_json::{Value, json};

fn main() {
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let password = Password::parse(line["password"].as_str().expect("a password")).expect("a password");
        let answer = match line["hash"].as_str() {
            None => {
                let salt = Random.bytes().expect("a salt");
                json!(PasswordHash::make(&password, Cost::MIN, salt).expect("a hash"))
            }
            Some(hash) => json!(PasswordHash::parse(hash).expect("a supported hash").verify(&password)),
        };
        println!("{answer}");
    }
}
