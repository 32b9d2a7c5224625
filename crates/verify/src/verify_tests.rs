use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use crate::testing::{b64, claims, header, hmac_sha256, keys, unhex, with_member};
use crate::{
    AccessClaims, Algorithm, Audience, Expectations, InvalidKey, KeySet, MAX_TOKEN_LEN, PublicKey, Refusal,
    SignatureMemory, VerifyingKey, verify, verify_origin, verify_origin_with, verify_with,
};

fn audience() -> Vec<String> {
    vec!["https://api.example".into()]
}

fn at(now: u64, audience: &[String]) -> Expectations<'_> {
    Expectations { issuer: "https://id.example", audience, now, leeway: Duration::ZERO }
}

fn check(token: &str) -> Result<AccessClaims, Refusal> {
    verify(token, &keys().set(), &at(1_700_000_000, &audience()))
}

/// A token with these claims, signed by the ES256 key.
fn with_claims(json: &str) -> String {
    keys().token(Algorithm::ES256, &header(Algorithm::ES256), json)
}

/// A token of good claims with this header, signed by the ES256 key.
fn with_header(json: &str) -> String {
    keys().token(Algorithm::ES256, json, &serde_json::to_string(&claims()).unwrap())
}

fn signed(claims: &AccessClaims) -> String {
    with_claims(&serde_json::to_string(claims).unwrap())
}

#[test]
fn a_good_token_of_each_algorithm_is_taken() {
    for algorithm in Algorithm::ALL {
        assert_eq!(check(&keys().good(algorithm)), Ok(claims()), "{algorithm}");
    }
}

/// VAL-01: the algorithm is the key's.
#[test]
fn no_spelling_of_none_is_an_algorithm() {
    for alg in
        ["none", "None", "NONE", "nOnE", "", "null", "es256", "ES256\\u0000", "HS512", "ES384", "PS256"]
    {
        let json = format!(r#"{{"alg":"{alg}","kid":"ES256","typ":"at+jwt"}}"#);
        assert_eq!(check(&with_header(&json)), Err(Refusal::WrongAlgorithm), "{alg}");
        let unsigned = format!("{}.{}.", b64(&json), b64(serde_json::to_string(&claims()).unwrap()));
        assert_eq!(check(&unsigned), Err(Refusal::Malformed), "{alg}");
        assert_eq!(check(unsigned.trim_end_matches('.')), Err(Refusal::Malformed), "{alg}");
    }
}

#[test]
fn a_key_verifies_no_other_algorithm_than_its_own() {
    for key in Algorithm::ALL {
        for claimed in Algorithm::ALL.into_iter().filter(|claimed| *claimed != key) {
            let json = format!(r#"{{"alg":"{claimed}","kid":"{key}","typ":"at+jwt"}}"#);
            for signer in [key, claimed] {
                let token = keys().token(signer, &json, &serde_json::to_string(&claims()).unwrap());
                assert_eq!(check(&token), Err(Refusal::WrongAlgorithm), "{claimed} for {key}");
            }
        }
    }
}

/// The classic confusion: a public key, known to everybody, taken for the secret of an HMAC.
#[test]
fn a_public_key_is_no_shared_secret() {
    let set = keys().set();
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let secrets: Vec<Vec<u8>> = match keys().public(algorithm) {
            PublicKey::P256 { x, y } => vec![[&[4][..], &x, &y].concat(), [&x[..], &y].concat(), x.to_vec()],
            PublicKey::Ed25519(x) => vec![x.to_vec()],
            PublicKey::Rsa { n, e } => vec![n.clone(), [&n[..], &e].concat()],
        };
        let jwk = keys().public(algorithm).to_jwk(algorithm.name()).to_string().into_bytes();
        for secret in secrets.into_iter().chain([jwk]) {
            for alg in ["HS256", algorithm.name()] {
                let json = format!(r#"{{"alg":"{alg}","kid":"{algorithm}","typ":"at+jwt"}}"#);
                let message = format!("{}.{}", b64(&json), b64(serde_json::to_string(&claims()).unwrap()));
                let token = format!("{message}.{}", b64(hmac_sha256(&secret, message.as_bytes())));
                let refusal = if alg == "HS256" { Refusal::WrongAlgorithm } else { Refusal::BadSignature };
                assert_eq!(verify_origin(&token, &set), Err(refusal), "{algorithm}");
            }
        }
    }
}

#[test]
fn another_keys_signature_is_wrong() {
    let mut set = KeySet::new();
    set.insert("HS256", VerifyingKey::hs256(&[1; 32]).unwrap()).unwrap();
    assert_eq!(verify_origin(&keys().good(Algorithm::HS256), &set), Err(Refusal::BadSignature));
    let zeros = format!("{}.{}", keys().good(Algorithm::ES256).rsplit_once('.').unwrap().0, b64([0; 64]));
    assert_eq!(check(&zeros), Err(Refusal::BadSignature));
}

/// VAL-02: a caller must be able to tell that the key may be a new one.
#[test]
fn an_unknown_key_is_named() {
    let token = with_header(r#"{"alg":"ES256","kid":"new\nkey","typ":"at+jwt"}"#);
    let refusal = check(&token).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownKey("new\nkey".into()));
    assert_eq!(refusal.to_string(), r#"signed by the unknown key "new\nkey""#);
    assert_eq!(
        verify_origin(&keys().good(Algorithm::ES256), &KeySet::new()),
        Err(Refusal::UnknownKey("ES256".into()))
    );
}

/// VAL-02, VAL-03: keys that a token brings along, critical extensions, unencoded payloads.
#[test]
fn a_header_can_bring_nothing_along() {
    let jwk = keys().public(Algorithm::ES256).to_jwk("ES256");
    let members = [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"http://127.0.0.1:1/jwks""#.into(),
        r#""x5u":"http://127.0.0.1:1/cert""#.into(),
        r#""x5c":["AA=="]"#.into(),
        r#""crit":["b64"],"b64":false"#.into(),
        r#""crit":["b64"],"b64":true"#.into(),
        r#""crit":[]"#.into(),
        r#""b64":false"#.into(),
        r#""zip":"DEF""#.into(),
    ];
    for member in members {
        let json = format!(r#"{{"alg":"ES256","kid":"ES256","typ":"at+jwt",{member}}}"#);
        assert_eq!(check(&with_header(&json)), Err(Refusal::Malformed), "{json}");
    }
}

/// VAL-04.
#[test]
fn only_access_tokens_are_taken() {
    for typ in ["JWT", "id+jwt", "logout+jwt", "dpop+jwt", ""] {
        let json = format!(r#"{{"alg":"ES256","kid":"ES256","typ":"{typ}"}}"#);
        assert_eq!(check(&with_header(&json)), Err(Refusal::WrongType), "{typ}");
    }
    assert_eq!(check(&with_header(r#"{"alg":"ES256","kid":"ES256"}"#)), Err(Refusal::WrongType));
    let spelled = with_header(r#"{"alg":"ES256","kid":"ES256","typ":"Application/AT+JWT"}"#);
    assert_eq!(check(&spelled), Ok(claims()));
}

/// VAL-05.
#[test]
fn issuer_and_audience_are_compared_exactly() {
    for iss in ["https://id.example/", "https://ID.example", "http://id.example", ""] {
        let token = signed(&AccessClaims { iss: iss.into(), ..claims() });
        assert_eq!(check(&token), Err(Refusal::WrongIssuer), "{iss}");
        assert!(verify_origin(&token, &keys().set()).is_ok());
    }
    let other: Vec<Audience> = vec![
        Audience::One("https://api.example/".into()),
        Audience::One(String::new()),
        Audience::Many(vec![]),
        Audience::Many(vec!["relatch".into(), "https://other.example".into()]),
    ];
    for aud in other {
        let token = signed(&AccessClaims { aud, ..claims() });
        assert_eq!(check(&token), Err(Refusal::WrongAudience));
        assert!(verify_origin(&token, &keys().set()).is_ok());
    }
    let several =
        AccessClaims { aud: Audience::Many(vec!["x".into(), "https://api.example".into()]), ..claims() };
    assert_eq!(check(&signed(&several)), Ok(several));
    assert_eq!(
        verify(&keys().good(Algorithm::ES256), &keys().set(), &at(1_700_000_000, &[])),
        Err(Refusal::WrongAudience)
    );
}

#[test]
fn a_token_expires_at_its_second() {
    let token = keys().good(Algorithm::ES256);
    let (set, audience) = (keys().set(), audience());
    assert!(verify(&token, &set, &at(1_700_000_899, &audience)).is_ok());
    assert_eq!(verify(&token, &set, &at(1_700_000_900, &audience)), Err(Refusal::Expired));
    let lenient = Expectations { leeway: Duration::from_mins(1), ..at(1_700_000_959, &audience) };
    assert!(verify(&token, &set, &lenient).is_ok());
    assert_eq!(verify(&token, &set, &Expectations { now: 1_700_000_960, ..lenient }), Err(Refusal::Expired));
    assert!(verify_origin(&token, &set).is_ok());
}

#[test]
fn a_token_is_not_good_before_its_time() {
    let token = signed(&AccessClaims { nbf: Some(1_700_000_001), ..claims() });
    assert_eq!(check(&token), Err(Refusal::NotYetValid));
    let (set, audience) = (keys().set(), audience());
    assert!(verify(&token, &set, &at(1_700_000_001, &audience)).is_ok());
    let lenient = Expectations { leeway: Duration::from_secs(1), ..at(1_700_000_000, &audience) };
    assert!(verify(&token, &set, &lenient).is_ok());
}

#[test]
fn times_at_the_end_of_the_range_do_not_overflow() {
    let token = signed(&AccessClaims { exp: u64::MAX, nbf: Some(u64::MAX), ..claims() });
    let (set, audience) = (keys().set(), audience());
    let last = Expectations { leeway: Duration::MAX, ..at(u64::MAX - 1, &audience) };
    assert!(verify(&token, &set, &last).is_ok());
}

/// VAL-06, over the whole path; each claim with each type is tested where claims are read.
#[test]
fn a_signed_token_with_a_wrong_type_is_malformed() {
    for (name, value) in
        [("exp", "\"1700000900\""), ("exp", "1e99"), ("nbf", "null"), ("iss", "[]"), ("sub", "{}")]
    {
        assert_eq!(
            check(&with_claims(&with_member(&claims(), name, value))),
            Err(Refusal::Malformed),
            "{name}"
        );
    }
}

/// VAL-07.
#[test]
fn a_signed_token_with_a_duplicate_is_malformed() {
    let good = serde_json::to_string(&claims()).unwrap();
    let twice = format!("{},\"sub\":\"someone else\"}}", good.strip_suffix('}').unwrap());
    assert_eq!(check(&with_claims(&twice)), Err(Refusal::Malformed));
    let header = r#"{"alg":"ES256","alg":"ES256","kid":"ES256","typ":"at+jwt"}"#;
    assert_eq!(check(&with_header(header)), Err(Refusal::Malformed));
}

/// VAL-08: other serializations and encryption.
#[test]
fn json_serialization_and_encrypted_tokens_are_malformed() {
    let good = keys().good(Algorithm::ES256);
    let parts: Vec<&str> = good.split('.').collect();
    let flattened =
        format!(r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#, parts[0], parts[1], parts[2]);
    let encrypted = format!("{good}.AQ.AQ");
    for token in
        [flattened, encrypted, format!("{good}."), format!(".{good}"), format!("{good}="), format!(" {good}")]
    {
        assert_eq!(check(&token), Err(Refusal::Malformed), "{token}");
    }
    let without_payload = format!("{}..{}", parts[0], parts[2]);
    assert_eq!(check(&without_payload), Err(Refusal::Malformed));
}

/// VAL-08: the last character of a segment has spare bits; only the text with zeros in them is taken.
#[test]
fn spare_bits_do_not_make_a_second_token() {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let good = keys().good(Algorithm::ES256);
    let last = *good.as_bytes().last().unwrap();
    let index = alphabet.iter().position(|byte| *byte == last).unwrap();
    let twin = format!("{}{}", &good[..good.len() - 1], char::from(alphabet[index | 1]));
    assert_ne!(twin, good);
    let lax = base64::engine::GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
    );
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    assert_eq!(lax.decode(signature(&twin)), lax.decode(signature(&good)));
    assert_eq!(check(&twin), Err(Refusal::Malformed));
}

/// VAL-09.
#[test]
fn long_and_deep_tokens_are_refused_before_any_cryptography() {
    let unsigned = |payload: &str| format!("{}.{}.AQ", b64(header(Algorithm::ES256)), b64(payload));
    let deep = with_member(&claims(), "deep", &format!("{}{}", "[".repeat(1000), "]".repeat(1000)));
    assert_eq!(check(&unsigned(&deep)), Err(Refusal::Malformed));
    assert_eq!(check(&"A".repeat(1 << 20)), Err(Refusal::Malformed));
    let filler = with_member(&claims(), "filler", &format!("{:?}", "x".repeat(MAX_TOKEN_LEN)));
    assert_eq!(check(&with_claims(&filler)), Err(Refusal::Malformed));
}

#[test]
fn a_truncated_or_extended_segment_is_refused() {
    for algorithm in Algorithm::ALL {
        let good = keys().good(algorithm);
        let parts: Vec<Vec<u8>> = good.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        for changed in 0..3 {
            let shorter = parts[changed][..parts[changed].len() - 1].to_vec();
            let longer = [&parts[changed][..], &[0]].concat();
            for segment in [shorter, longer] {
                let mut new = parts.clone();
                new[changed] = segment;
                let token: Vec<String> = new.iter().map(b64).collect();
                assert!(check(&token.join(".")).is_err(), "{algorithm}, segment {changed}");
            }
        }
    }
}

/// RFC 7515, appendix A.1: HS256.
#[test]
fn the_standards_hmac_vector_verifies() {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                   eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
    let key = VerifyingKey::hs256(&URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
    assert!(key.verifies(message.as_bytes(), &signature));
    assert!(!key.verifies(message.as_bytes(), &signature[..31].to_vec()));
    assert!(!key.verifies(&message.as_bytes()[1..], &signature));
}

/// RFC 7515, appendix A.3: ES256.
#[test]
fn the_standards_ecdsa_vector_verifies() {
    let coordinate = |text| URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
    let x = coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let message = "eyJhbGciOiJFUzI1NiJ9.\
                   eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = VerifyingKey::public(&PublicKey::P256 { x, y }).unwrap();
    assert!(key.verifies(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    assert!(!key.verifies(&message.as_bytes()[1..], &URL_SAFE_NO_PAD.decode(signature).unwrap()));
}

/// RFC 8037, appendix A.4: Ed25519.
#[test]
fn the_standards_edwards_vector_verifies() {
    let x = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = VerifyingKey::public(&PublicKey::Ed25519(x.try_into().unwrap())).unwrap();
    assert!(key.verifies(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    assert!(!key.verifies(&message.as_bytes()[1..], &URL_SAFE_NO_PAD.decode(signature).unwrap()));
}

#[test]
fn numbers_that_are_no_point_are_no_key() {
    let key = PublicKey::P256 { x: [1; 32], y: [1; 32] };
    assert_eq!(VerifyingKey::public(&key).err(), Some(InvalidKey::Point));
}

proptest! {
    #[test]
    fn signing_again_tells_what_verifying_tells(
        message in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let pair = Arc::new(Ed25519KeyPair::generate().unwrap());
        let public = PublicKey::Ed25519(pair.public_key().as_ref().try_into().unwrap());
        let (again, public) = (VerifyingKey::our_ed25519(Arc::clone(&pair)), VerifyingKey::public(&public).unwrap());
        let mut signature = pair.sign(&message).as_ref().to_vec();
        let at = at.index(signature.len());
        signature[at] ^= flip;
        prop_assert_eq!(again.verifies(&message, &signature), flip == 0);
        prop_assert_eq!(public.verifies(&message, &signature), flip == 0);
        for other in [&signature[..63], &[], &[signature.as_slice(), &[0]].concat()] {
            prop_assert!(!again.verifies(&message, &other.to_vec()));
        }
    }

    #[test]
    fn no_single_change_goes_unnoticed(which in 0..4_usize, position: prop::sample::Index, replacement in 0x20_u8..0x7f) {
        let mut token = keys().good(Algorithm::ALL[which]).into_bytes();
        let position = position.index(token.len());
        prop_assume!(token[position] != replacement);
        token[position] = replacement;
        prop_assert!(verify_origin(&String::from_utf8(token).unwrap(), &keys().set()).is_err());
    }

    #[test]
    fn any_other_text_is_refused(text in "\\PC{0,300}") {
        prop_assert!(verify_origin(&text, &keys().set()).is_err());
    }

    #[test]
    fn any_signed_bytes_are_read_without_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let token = format!("{}.{}.{}", b64(header), b64(payload), b64(signature));
        prop_assert_eq!(verify_origin(&token, &keys().set()), Err(Refusal::Malformed));
    }

    #[test]
    fn any_json_as_a_claim_is_read_without_panic(name in "[a-z_]{1,20}", value in json()) {
        let token = with_claims(&with_member(&claims(), &name, &value));
        let read = verify_origin(&token, &keys().set());
        prop_assert!(matches!(read, Ok(_) | Err(Refusal::Malformed)));
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
        any::<i128>().prop_map(|value| value.to_string()),
        "\\PC{0,20}".prop_map(|value| serde_json::to_string(&value).unwrap()),
    ];
    leaf.prop_recursive(12, 40, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(","))),
            ("[a-c]", inner.clone(), inner).prop_map(|(name, a, b)| format!("{{\"{name}\":{a},\"b\":{b}}}")),
        ]
    })
}

/// Remembering spares the signature and nothing else.
#[test]
fn a_remembered_token_is_checked_in_all_but_its_signature() {
    let audience = audience();
    let memory = SignatureMemory::with_room_for(NonZeroUsize::new(4096).unwrap()).unwrap();
    for algorithm in Algorithm::ALL {
        let (token, keys) = (keys().good(algorithm), keys().set());
        let check = |token: &str, keys: &KeySet, now| verify_with(token, keys, &at(now, &audience), &memory);
        for _ in 0..3 {
            assert_eq!(check(&token, &keys, 1_700_000_000), Ok(claims()), "{algorithm}");
            assert_eq!(verify_origin_with(&token, &keys, &memory), Ok(claims()), "{algorithm}");
            assert_eq!(memory.knows(&token), algorithm != Algorithm::HS256);
            let (rest, last) = token.split_at(token.rfind('.').unwrap() + 1);
            let first = if last.starts_with('A') { "B" } else { "A" };
            let other = format!("{rest}{first}{}", &last[1..]);
            assert_eq!(check(&other, &keys, 1_700_000_000), Err(Refusal::BadSignature), "{algorithm}");
            assert!(!memory.knows(&other));
        }
        assert_eq!(check(&token, &keys, u64::MAX), Err(Refusal::Expired));
        let gone = check(&token, &KeySet::new(), 1_700_000_000);
        assert_eq!(gone, Err(Refusal::UnknownKey(algorithm.to_string())));
    }
}

#[test]
fn a_token_that_was_made_here_is_known_before_it_comes_back() {
    let memory = SignatureMemory::with_room_for(NonZeroUsize::MIN).unwrap();
    let token = keys().good(Algorithm::ES256);
    memory.learn(&token);
    assert!(memory.knows(&token));
    assert_eq!(verify_origin_with(&token, &keys().set(), &memory), Ok(claims()));
}
