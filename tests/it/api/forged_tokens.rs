//! Access tokens that somebody made up (RFC 8725; RFC 9068, section 4): each is refused at every place that takes one,
//! and costs the honest device nothing.

mod claims;
mod places;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use relatch::ambient::Random;
use relatch::keys::signing::{Algorithm, SigningKey};
use relatch_domain::base64url;
use relatch_testkit::forge::unsigned;
use relatch_testkit::{Forger, On};
use serde_json::{Value, json};

use stage::{Stage, with, without};

fn hs256(secret: &[u8], message: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64url::encode(tag.as_ref()))
}

/// One value in DER (ITU-T X.690, section 8.1).
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap() {
        short @ 0..128 => vec![u8::try_from(short).unwrap()],
        long => [&[0x82], long.to_be_bytes().as_slice()].concat(),
    };
    [&[tag], length.as_slice(), content].concat()
}

/// Every form in which somebody may have the public key at hand.
fn forms_of(jwk: &Value, jwks: &str) -> Vec<Vec<u8>> {
    let member = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
    let (raw, spki) = match jwk["kty"].as_str().unwrap() {
        "EC" => {
            let point = [vec![4], member("x"), member("y")].concat();
            let algorithm = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
            (point.clone(), (algorithm.to_vec(), point))
        }
        "OKP" => (member("x"), (b"\x06\x03\x2b\x65\x70".to_vec(), member("x"))),
        _ => {
            let integer = |name: &str| der(2, &[vec![0], member(name)].concat());
            let key = der(0x30, &[integer("n"), der(2, &member("e"))].concat());
            (key.clone(), (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00".to_vec(), key))
        }
    };
    let (algorithm, key) = spki;
    let spki = der(0x30, &[der(0x30, &algorithm), der(3, &[vec![0], key].concat())].concat());
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &spki);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let forms = [raw.clone(), raw[1..].to_vec(), spki, text.into(), pem.clone().into(), (pem + "\n").into()];
    let more = [jwk.to_string().into(), jwks.into(), jwk["kid"].as_str().unwrap().into(), Vec::new()];
    forms.into_iter().chain(more).collect()
}

on_both_stores! {
    async fn what_a_forger_signs_like_the_server_is_taken(on: On) {
        let stage = Stage::set(on).await;
        let token = stage.forger.token(&stage.header, &stage.claims);
        stage.bearer("GET", "/sessions", &token).await.ok();
        for typ in ["AT+JWT", "application/at+jwt"] {
            let token = stage.forger.token(stage.header_with("typ", json!(typ)), &stage.claims);
            stage.bearer("GET", "/sessions", &token).await.ok();
        }
        stage.and_ada_goes_on().await;
    }

    async fn an_algorithm_is_the_keys_never_the_tokens(on: On) {
        let stage = Stage::set(on).await;
        for alg in ["none", "None", "NONE", "nOnE", "none ", "", "es256", "ES256K", "ES384", "HS256", "HS512", "RS256", "EdDSA", "dir"] {
            let header = stage.header_with("alg", json!(alg));
            let unsigned = unsigned(&header, &stage.claims);
            stage.is_worth_nothing(&stage.forger.token(&header, &stage.claims)).await;
            for signature in ["", "AA", "bm9uZQ"] {
                stage.is_worth_nothing(&format!("{unsigned}.{signature}")).await;
            }
        }
        for alg in [json!(null), json!(["ES256"]), json!({"alg": "ES256"}), json!(0)] {
            stage.is_worth_nothing(&stage.forger.token(stage.header_with("alg", alg), &stage.claims)).await;
        }
        stage.and_ada_goes_on().await;
    }

    async fn a_public_key_is_no_shared_secret(on: On) {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let stage = Stage::set(on.clone().set("access_token.algorithm", algorithm)).await;
            let jwks = stage.app.node.send(stage.app.node.get("/.well-known/jwks.json")).await.expect(200);
            let secrets = forms_of(&stage.forger.public_jwk().unwrap(), &jwks.text);
            for secret in secrets {
                for alg in ["HS256", algorithm] {
                    let message = unsigned(stage.header_with("alg", json!(alg)), &stage.claims);
                    stage.is_worth_nothing(&hs256(&secret, &message)).await;
                }
            }
            stage.and_ada_goes_on().await;
        }
    }

    async fn a_signature_is_by_the_key_that_the_token_names(on: On) {
        let stage = Stage::set(on).await;
        let foreign = SigningKey::generate(Algorithm::ES256, Random).unwrap();
        let foreign = Forger::with(Arc::new(foreign));
        stage.is_worth_nothing(&foreign.token(foreign.header(), &stage.claims)).await;
        stage.is_worth_nothing(&foreign.token(&stage.header, &stage.claims)).await;
        for kid in [json!("unknown"), json!(""), json!("../../dev/null"), json!("x' OR '1'='1"), json!(null), json!(7), json!("k".repeat(65))] {
            stage.is_worth_nothing(&stage.forger.token(stage.header_with("kid", kid), &stage.claims)).await;
        }
        stage.is_worth_nothing(&stage.forger.token(without(&stage.header, "kid"), &stage.claims)).await;
        let message = unsigned(&stage.header, &stage.claims);
        // The empty, the short, the long, and the zero signature that some ECDSA verifiers took for everything.
        for signature in [vec![], vec![0; 32], vec![0; 63], vec![0; 64], vec![0; 65], vec![0xff; 64], vec![0; 72]] {
            stage.is_worth_nothing(&format!("{message}.{}", base64url::encode(&signature))).await;
        }
        stage.and_ada_goes_on().await;
    }

    async fn only_an_access_token_is_an_access_token(on: On) {
        let stage = Stage::set(on).await;
        for typ in [json!("JWT"), json!("jwt"), json!(""), json!("id_token+jwt"), json!("dpop+jwt"), json!("logout+jwt"), json!(null), json!(["at+jwt"])] {
            stage.is_worth_nothing(&stage.forger.token(stage.header_with("typ", typ), &stage.claims)).await;
        }
        stage.is_worth_nothing(&stage.forger.token(without(&stage.header, "typ"), &stage.claims)).await;
        stage.is_worth_nothing(&stage.ada.pair.refresh).await;
        stage.and_ada_goes_on().await;
    }

    async fn a_header_brings_no_keys_and_no_rules_of_its_own(on: On) {
        let stage = Stage::set(on).await;
        let evil = Forger::with(Arc::new(SigningKey::generate(Algorithm::ES256, Random).unwrap()));
        let jwk = evil.public_jwk().unwrap();
        let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let url = format!("http://{}/keys", trap.local_addr().unwrap());
        let members = [
            ("jwk", jwk), ("jku", json!(url)), ("x5u", json!(url)), ("x5c", json!(["MIIB"])), ("x5t", json!("AA")),
            ("crit", json!(["exp"])), ("crit", json!([])), ("crit", json!(["b64"])), ("b64", json!(false)), ("zip", json!("DEF")),
            ("cty", json!("JWT")), ("enc", json!("A128GCM")), ("x", json!(1)),
        ];
        for (name, value) in members {
            let header = stage.header_with(name, value);
            stage.is_worth_nothing(&stage.forger.token(&header, &stage.claims)).await;
            stage.is_worth_nothing(&evil.token(&header, &stage.claims)).await;
            stage.is_worth_nothing(&evil.token(with(&header, "kid", json!(evil.kid())), &stage.claims)).await;
        }
        let fetched = trap.accept().map_err(|error| error.kind());
        assert_eq!(fetched.err(), Some(std::io::ErrorKind::WouldBlock), "nothing is fetched");
        stage.and_ada_goes_on().await;
    }
}

#[tokio::test]
async fn a_key_verifies_what_it_signed_and_nothing_of_the_servers_other_keys() {
    let app = On::redis().start().await;
    for algorithm in ["EdDSA", "RS256", "HS256"] {
        // Each node adds a key of its own algorithm; the others follow when they meet a token of it.
        drop(app.second_node_with(&[("access_token.algorithm", algorithm)]).await);
    }
    let stage = Stage::on(app).await;
    // One of each algorithm.
    let all = Forger::all_of(&stage.app).await.into_iter();
    let by_algorithm: BTreeMap<_, _> = all.map(|key| (key.header()["alg"].to_string(), key)).collect();
    let forgers: Vec<_> = by_algorithm.into_values().collect();
    assert_eq!(forgers.len(), 4);
    for signer in &forgers {
        let honest = signer.token(signer.header(), &stage.claims);
        stage.until_known(&honest).await;
        for named in forgers.iter().filter(|named| named.kid() != signer.kid()) {
            let their_kid = with(&signer.header(), "kid", json!(named.kid()));
            stage.is_worth_nothing(&signer.token(their_kid, &stage.claims)).await;
            stage.is_worth_nothing(&signer.token(named.header(), &stage.claims)).await;
            let their_alg = with(&signer.header(), "alg", named.header()["alg"].clone());
            stage.is_worth_nothing(&signer.token(their_alg, &stage.claims)).await;
        }
    }
    stage.and_ada_goes_on().await;
}
