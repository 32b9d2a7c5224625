//! The access token, as text of a stranger and as any header and claims under a genuine signature.

use std::time::Duration;

use aws_lc_rs::hmac;
use relatch_domain::base64url;
use relatch_verify::{Expectations, KeySet, MAX_TOKEN_LEN, VerifyingKey, verify, verify_origin};

const SECRET: [u8; 32] = [0x5e; 32];
const NOW: u64 = 1_700_000_100;

/// Only what is signed, of this issuer, for this audience and not expired is taken; a broken signature never is.
pub fn look_at(data: &[u8]) {
    let mut keys = KeySet::new();
    let key = VerifyingKey::hs256(&SECRET).expect("a secret that is long enough");
    keys.insert("k", key).expect("the first key");
    let text = String::from_utf8_lossy(data);
    take(&text, &keys);

    // Header and claims, parted by a line break; the header may be left to us.
    let (header, claims) = text.split_once('\n').unwrap_or(("", &text));
    let header = if header.is_empty() { r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"# } else { header };
    let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes());
    take(&format!("{signed}.{}", base64url::encode(mac.as_ref())), &keys);

    let mut forged = mac.as_ref().to_vec();
    forged[0] ^= 1;
    let forged = format!("{signed}.{}", base64url::encode(&forged));
    assert!(verify_origin(&forged, &keys).is_err(), "a forged token was taken");
}

fn take(token: &str, keys: &KeySet) {
    let audience = ["https://api.example".to_owned()];
    let expected =
        Expectations { issuer: "https://id.example", audience: &audience, now: NOW, leeway: Duration::ZERO };
    let origin = verify_origin(token, keys);
    if let Ok(claims) = verify(token, keys, &expected) {
        assert!(token.len() <= MAX_TOKEN_LEN);
        assert_eq!(claims.iss, expected.issuer);
        assert!(claims.aud.contains(&audience[0]));
        assert!(claims.exp > NOW && claims.nbf.is_none_or(|nbf| nbf <= NOW));
        assert_eq!(origin, Ok(claims), "good, but of unknown origin");
    }
}
