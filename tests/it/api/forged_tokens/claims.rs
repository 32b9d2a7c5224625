//! Claims that say something else, under a good signature.

use serde_json::{Value, json};

use super::stage::{Stage, without};

on_both_stores! {
    async fn a_good_signature_does_not_make_malformed_claims_good(on: On) {
        let stage = Stage::set(on).await;
        for name in stage.claims.as_object().unwrap().keys() {
            stage.is_worth_nothing(&stage.forger.token(&stage.header, without(&stage.claims, name))).await;
        }
        let not_a_time = [json!("9999999999"), json!(-1), json!(9_999_999_999.5), json!(1e300), json!([9_999_999_999_u64]), json!(null), json!({})];
        for name in ["exp", "iat", "auth_time", "nbf"] {
            for value in &not_a_time {
                stage.is_worth_nothing(&stage.claiming(name, value.clone())).await;
            }
        }
        for name in ["iss", "sub", "sid", "jti", "client_id", "preferred_username"] {
            for value in [json!(1), json!(null), json!([stage.claims[name]]), json!({})] {
                stage.is_worth_nothing(&stage.claiming(name, value)).await;
            }
        }
        for (name, value) in [("aud", json!({})), ("aud", json!([1])), ("roles", json!("admin")), ("roles", json!([null]))] {
            stage.is_worth_nothing(&stage.claiming(name, value)).await;
        }
        for claims in ["", "{}", "[]", "null", "{", "x"] {
            stage.is_worth_nothing(&stage.forger.token(&stage.header, claims)).await;
        }
        stage.and_ada_goes_on().await;
    }

    async fn no_member_may_be_there_twice(on: On) {
        let stage = Stage::set(on).await;
        let bob = stage.app.user("bob").await;
        let twice = |object: &Value, more: &str| format!("{},{more}}}", object.to_string().strip_suffix('}').unwrap());
        for more in [format!(r#""sub":"{bob}""#), format!(r#""\u0073ub":"{bob}""#), r#""exp":9999999999"#.to_owned(), r#""roles":["admin"]"#.to_owned()] {
            stage.is_worth_nothing(&stage.forger.token(&stage.header, twice(&stage.claims, &more))).await;
        }
        for more in [r#""alg":"none""#, r#""alg":"ES256""#, r#""typ":"at+jwt""#, r#""kid":"x""#] {
            stage.is_worth_nothing(&stage.forger.token(twice(&stage.header, more), &stage.claims)).await;
        }
        stage.and_ada_goes_on().await;
    }

    async fn user_and_session_must_belong_together(on: On) {
        let stage = Stage::set(on).await;
        stage.app.user("bob").await;
        let bob = stage.app.sign_in("bob").await;
        let sid = &stage.ada.session_id;
        for sub in [&bob.user_id, &stage.admin.user_id, "admin", "", &stage.ada.user_id.to_uppercase(), &format!("{} ", stage.ada.user_id)] {
            stage.is_worth_nothing(&stage.claiming("sub", json!(sub))).await;
        }
        for sid in [&bob.session_id, &stage.admin.session_id, "", "x", &sid[..42], &format!("{sid}A"), &format!("{sid}="), &sid.replace(&sid[..1], "+"), &"\u{0}".repeat(43)] {
            stage.is_worth_nothing(&stage.claiming("sid", json!(sid))).await;
        }
        stage.and_ada_goes_on().await;
    }
}
