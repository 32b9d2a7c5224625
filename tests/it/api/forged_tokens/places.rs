//! Tokens that are genuine but not good for this, and genuine tokens in the wrong place or form.

use relatch_domain::base64url;
use relatch_testkit::Answer;
use serde_json::json;

use super::stage::Stage;

/// A credential it is not, but it tells that the refresh token beside it is in the hands that it was given to.
async fn makes_a_pair_but_lets_nobody_in(stage: &mut Stage, token: &str, code: &str) {
    stage.lets_nobody_in(token, code).await;
    stage.ada.pair.access = token.to_owned();
    stage.ada.refresh().await.ok();
    stage.ada.check().await.ok();
}

/// The challenge names the error of RFC 6750, section 3.1.
#[track_caller]
fn challenges(answer: &Answer, challenge: &str) {
    assert_eq!(answer.header("www-authenticate"), Some(challenge), "{answer:?}");
}

on_both_stores! {
    async fn a_token_that_is_long_dead_makes_a_pair_and_lets_nobody_in(on: On) {
        let mut stage = Stage::set(on).await;
        for exp in [0, 1, 1_000_000_000] {
            let token = stage.claiming("exp", json!(exp));
            makes_a_pair_but_lets_nobody_in(&mut stage, &token, "token_expired").await;
        }
        let token = stage.claiming("exp", json!(0));
        let answer = stage.bearer("GET", "/auth/check", &token).await;
        challenges(&answer, r#"Bearer error="invalid_token", error_description="The access token expired""#);
        stage.and_ada_goes_on().await;
    }

    async fn an_expired_token_tells_that_only_if_it_is_genuine(on: On) {
        let stage = Stage::set(on).await;
        let mut claims = stage.claims.clone();
        claims["exp"] = json!(0);
        let (good, _) = stage.forger.token(&stage.header, &claims).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        stage.is_worth_nothing(&format!("{good}.AAAA")).await;
        // Of the wrong names it says nothing: a refresh mends all of it.
        claims["iss"] = json!("https://other.example");
        stage.lets_nobody_in(&stage.forger.token(&stage.header, &claims), "token_expired").await;
        stage.and_ada_goes_on().await;
    }

    async fn a_token_of_another_name_or_for_others_makes_a_pair_and_lets_nobody_in(on: On) {
        let mut stage = Stage::set(on).await;
        let own = "http://localhost:8080";
        let far = 4_000_000_000_u64;
        let elsewhere = [
            ("iss", json!("https://other.example")), ("iss", json!("")), ("iss", json!(format!("{own}/"))), ("iss", json!("HTTP://LOCALHOST:8080")),
            ("aud", json!("https://other.example")), ("aud", json!([])), ("aud", json!([format!("{own}/"), "relatch"])), ("aud", json!("")),
            ("nbf", json!(far)),
        ];
        for (name, value) in elsewhere {
            let token = stage.claiming(name, value);
            makes_a_pair_but_lets_nobody_in(&mut stage, &token, "token_expired").await;
        }
        let token = stage.claiming("aud", json!(["https://other.example", own]));
        stage.bearer("GET", "/sessions", &token).await.ok();
        stage.and_ada_goes_on().await;
    }

    async fn an_administrator_revokes_by_a_token_that_is_long_dead(on: On) {
        let mut stage = Stage::set(on).await;
        let token = stage.claiming("exp", json!(1));
        let body = stage.revoked_by_admin(&token).await.ok();
        assert_eq!(body, json!({"revoked_sessions": 1}));
        stage.ada.refresh().await.problem(401, "session_revoked");
    }

    async fn a_session_that_never_was_is_found_out_where_the_store_is_asked(on: On) {
        let stage = Stage::set(on).await;
        let mut unknown = base64url::decode(&stage.ada.session_id).unwrap();
        unknown[31] ^= 1;
        let token = stage.claiming("sid", json!(base64url::encode(&unknown)));
        for path in ["/sessions", "/auth/check?live=true"] {
            let body = stage.bearer("GET", path, &token).await.problem(401, "session_revoked");
            assert!(body.get("reason").is_none(), "{body}");
        }
        stage.beside_the_refresh_token("/token/refresh", &token).await.problem(401, "invalid_token");
        stage.beside_the_refresh_token("/logout", &token).await.problem(401, "invalid_token");
        stage.revoked_by_admin(&token).await.problem(404, "not_found");
        stage.and_ada_goes_on().await;
    }

    async fn roles_in_a_token_make_nobody_an_administrator(on: On) {
        let stage = Stage::set(on).await;
        let token = stage.claiming("roles", json!(["admin", "user"]));
        let answer = stage.bearer("GET", "/admin/users", &token).await;
        challenges(&answer, r#"Bearer error="insufficient_scope", scope="admin""#);
        answer.problem(403, "insufficient_scope");
        assert_eq!(stage.bearer("GET", "/me", &token).await.ok()["roles"], json!(["user"]));
        let path = format!("/sessions/{}/timeline", stage.admin.session_id);
        stage.bearer("GET", &path, &token).await.problem(404, "not_found");
        stage.and_ada_goes_on().await;
    }

    async fn a_refresh_token_and_an_access_token_do_not_stand_in_for_each_other(on: On) {
        let stage = Stage::set(on).await;
        let pair = &stage.ada.pair;
        stage.is_worth_nothing(&pair.refresh).await;
        for path in ["/token/refresh", "/logout"] {
            let body = json!({"refresh_token": pair.access});
            let request = stage.app.node.post(path).bearer_auth(&pair.access).json(&body);
            let answer = stage.app.node.send(request).await;
            challenges(&answer, r#"Bearer error="invalid_token""#);
            answer.problem(401, "invalid_refresh_token");
        }
        let body = json!({"refresh_token": pair.access});
        stage.admin.post("/admin/revoke", &body).await.problem(404, "not_found");
        stage.and_ada_goes_on().await;
    }

    async fn tokens_in_a_query_or_a_form_are_not_seen(on: On) {
        let stage = Stage::set(on).await;
        let node = &stage.app.node;
        let query = format!("access_token={}&refresh_token={}", stage.ada.pair.access, stage.ada.pair.refresh);
        for (method, path) in [("GET", "/auth/check"), ("GET", "/sessions"), ("DELETE", "/sessions"), ("GET", "/admin/users")] {
            let answer = node.send(node.request(method, &format!("{path}?{query}"))).await;
            challenges(&answer, "Bearer");
            answer.problem(401, "authentication_required");
        }
        for path in ["/token/refresh", "/logout"] {
            node.send(node.post(&format!("{path}?{query}"))).await.problem(400, "invalid_request");
            let form = node.post(path).header("Content-Type", "application/x-www-form-urlencoded").body(query.clone());
            node.send(form).await.problem(415, "unsupported_media_type");
        }
        let (access, refresh) = (&stage.ada.pair.access, &stage.ada.pair.refresh);
        let cookie = format!("access_token={access}; relatch-at={access}; __Host-relatch-pair={access}; relatch-rt={refresh}");
        node.send(node.get("/sessions").header("Cookie", &cookie)).await.problem(401, "authentication_required");
        let cookie = format!("__Host-relatch-at={access}; __Host-relatch-rt={refresh}");
        node.send(node.post("/logout").header("Cookie", &cookie)).await.problem(401, "authentication_required");
        stage.and_ada_goes_on().await;
    }

    async fn a_token_has_one_text(on: On) {
        let stage = Stage::set(on).await;
        let good = stage.ada.pair.access.clone();
        let parts: Vec<_> = good.split('.').collect();
        let (header, payload, signature) = (parts[0], parts[1], parts[2]);
        let other_texts = [
            format!("{good}="), format!("{good}."), format!(".{good}"),
            format!("{good}.{signature}"), format!("{header}.{payload}"), format!("{header}..{signature}"),
            format!("{header}.{payload}.{signature}.{payload}.{signature}"), format!("{good}A"), good[..good.len() - 1].to_owned(),
            good.replace('.', "~"), format!("{header}.{payload}.{}+", &signature[..85]),
        ];
        for token in other_texts {
            stage.is_worth_nothing(&token).await;
        }
        // A signature of 64 bytes leaves four spare bits in its last character.
        let spare = match signature.as_bytes()[85] { b'A' => 'B', b'Q' => 'R', b'g' => 'h', _ => 'x' };
        stage.is_worth_nothing(&format!("{header}.{payload}.{}{spare}", &signature[..85])).await;
        for path in ["/auth/check", "/sessions"] {
            for wrong in [format!("{header}=.{payload}.{signature}"), format!("{header} .{payload}.{signature}"), format!("{good} {good}"), format!("{good}\t{good}"), format!("{good},{good}"), format!("\"{good}\"")] {
                stage.bearer("GET", path, &wrong).await.problem(400, "invalid_request");
            }
        }
        let json_form = json!({"payload": payload, "protected": header, "signature": signature}).to_string();
        stage.bearer("GET", "/auth/check", &json_form).await.problem(400, "invalid_request");
        for token in [format!(" {good}"), format!("{good} "), format!("{good}\n"), format!("{header}\r\n.{payload}.{signature}"), format!("{good}\u{0}"), format!("Bearer {good}"), json_form] {
            stage.revoked_by_admin(&token).await.problem(404, "not_found");
        }
        stage.and_ada_goes_on().await;
    }
}
