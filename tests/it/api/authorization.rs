//! Who may call what: every route with every kind of caller who may not, and with one who may. Whoever adds a route says
//! here who may call it.

mod cast;
mod table;

use std::collections::BTreeSet;

use relatch::http::routes;
use relatch_testkit::Answer;
use relatch_testkit::node::RequestBuilder;
use serde_json::{Value, json};

use cast::{Cast, Holder};
use table::{Gate, Row, TABLE};

/// How an access token comes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Bearer,
    /// In its cookie, from a page of another site: the browser says so, or an older one names the page's origin.
    CookieFrom(&'static str, &'static str),
    /// In its cookie, with nothing said about where it comes from.
    BareCookie,
    /// In the query, as RFC 6750, section 2.3, had it.
    Query,
}

/// Somebody who may not call.
struct Intruder<'a> {
    who: &'static str,
    token: &'a str,
    way: Way,
    /// Status and code of the answer; nothing if such a caller is let in there.
    expected: Option<(u16, &'static str)>,
}

const FOREIGN: [(&str, &str); 4] = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
];

/// Everybody who is not let in by this row's gate, with tokens of somebody who would be.
fn intruders<'a>(row: &Row, cast: &'a Cast, holder: &'a Holder) -> Vec<Intruder<'a>> {
    let intruder = |who, token: &'a str, way, status, code| {
        let expected = Some((status, code));
        Intruder { who, token, way, expected }
    };
    // What only the store knows is not seen by whoever does not ask it.
    let asks_the_store = matches!(row.gate, Gate::Session | Gate::Admin);
    let known_to_the_store = |who, token: &'a str, code| {
        let expected = asks_the_store.then_some((401, code));
        Intruder { who, token, way: Way::Bearer, expected }
    };
    // What has ended a moment ago is remembered without asking it, though not whether the account is still disabled.
    let disabled = if asks_the_store { "user_disabled" } else { "session_revoked" };
    let remembered = |who, token: &'a str, code| intruder(who, token, Way::Bearer, 401, code);
    let mut all = vec![
        intruder("anonymous", "", Way::Bearer, 401, "authentication_required"),
        intruder("expired", &holder.expired, Way::Bearer, 401, "token_expired"),
        intruder("forged", &holder.forged, Way::Bearer, 401, "invalid_token"),
        intruder("unsigned", &holder.unsigned, Way::Bearer, 401, "invalid_token"),
        intruder("refresh token", &holder.refresh, Way::Bearer, 401, "invalid_token"),
        intruder("token in the query", &holder.live, Way::Query, 401, "authentication_required"),
        remembered("revoked", &holder.revoked, "session_revoked"),
        remembered("signed out", &holder.signed_out, "session_revoked"),
        remembered("deleted", &holder.deleted, "session_revoked"),
        remembered("disabled", &holder.disabled, disabled),
        known_to_the_store("never begun", &holder.never_begun, "session_revoked"),
    ];
    if row.method != "GET" {
        all.extend(FOREIGN.map(|(name, value)| {
            let way = Way::CookieFrom(name, value);
            intruder("page of another site", &holder.live, way, 403, "cross_site_request")
        }));
        let code = "authentication_required";
        all.push(intruder("cookie from nowhere", &holder.live, Way::BareCookie, 401, code));
    }
    if row.gate == Gate::Admin {
        all.push(intruder("plain user", &cast.user.live, Way::Bearer, 403, "insufficient_scope"));
        all.push(intruder("user of other roles", &cast.auditor, Way::Bearer, 403, "insufficient_scope"));
        all.push(intruder("claims to be one", &cast.pretender, Way::Bearer, 403, "insufficient_scope"));
        all.push(intruder("is one no more", &cast.demoted, Way::Bearer, 403, "insufficient_scope"));
    }
    if row.owned {
        all.push(intruder("another user", &cast.auditor, Way::Bearer, 404, "not_found"));
    }
    all
}

impl Row {
    /// The request, about this cast's objects, without credentials.
    fn request(&self, cast: &Cast, method: &str, query: &str) -> RequestBuilder {
        let path = cast.fill(self.path);
        let request = cast.app.node.request(method, &format!("{path}{query}"));
        match (self.body)(cast) {
            Value::Null => request,
            body => request.json(&body),
        }
    }

    async fn call(&self, cast: &Cast, method: &str, token: &str, way: Way) -> Answer {
        let cookie = format!("__Host-relatch-at={token}");
        let request = match way {
            Way::Bearer if token.is_empty() => self.request(cast, method, ""),
            Way::Bearer => self.request(cast, method, "").bearer_auth(token),
            Way::CookieFrom(name, value) => {
                self.request(cast, method, "").header("Cookie", cookie).header(name, value)
            }
            Way::BareCookie => self.request(cast, method, "").header("Cookie", cookie),
            Way::Query => self.request(cast, method, &format!("?access_token={token}")),
        };
        cast.app.node.send(request).await
    }
}

/// The methods that are to be tried: a `HEAD` is a `GET` without the body, and lets nobody else in.
fn methods(row: &Row) -> &'static [&'static str] {
    match row.method {
        "GET" => &["GET", "HEAD"],
        "POST" => &["POST"],
        "PUT" => &["PUT"],
        "PATCH" => &["PATCH"],
        _ => &["DELETE"],
    }
}

async fn turns_away(row: &Row, cast: &Cast, holder: &Holder) {
    let before = cast.state().await;
    for intruder in intruders(row, cast, holder) {
        for method in methods(row) {
            let shown = format!("{method} {} for: {}, {:?}", row.path, intruder.who, intruder.way);
            let answer = row.call(cast, method, intruder.token, intruder.way).await;
            match intruder.expected {
                None => assert_eq!(answer.status, row.success, "{shown}\n{answer:?}"),
                Some((status, _)) if *method == "HEAD" => assert_eq!(answer.status, status, "{shown}"),
                Some((status, code)) => {
                    assert_eq!(
                        (answer.status, answer.json()["error"].as_str()),
                        (status, Some(code)),
                        "{shown}"
                    );
                    answer.problem(status, code);
                }
            }
        }
    }
    assert_eq!(cast.state().await, before, "{} {}", row.method, row.path);
}

#[test]
fn every_route_has_its_row() {
    let served: BTreeSet<_> = routes::table()
        .into_iter()
        .flat_map(|(path, methods)| methods.into_iter().map(move |method| (path, method.to_string())))
        .collect();
    let listed: BTreeSet<_> = TABLE.iter().map(|row| (row.path, row.method.to_owned())).collect();
    assert_eq!(listed, served);
    assert_eq!(listed.len(), TABLE.len(), "a row twice");
    for row in TABLE.iter().filter(|row| row.path.starts_with("/admin")) {
        assert_eq!(row.gate, Gate::Admin, "{} {}", row.method, row.path);
    }
}

on_both_stores! {
    async fn whoever_may_not_call_is_turned_away_and_changes_nothing(on: On) {
        let cast = Cast::on(on).await;
        for row in TABLE {
            match row.gate {
                Gate::Token | Gate::Session => turns_away(row, &cast, &cast.user).await,
                Gate::Admin => turns_away(row, &cast, &cast.chief).await,
                Gate::Public | Gate::Pair => {}
            }
        }
        // Passwords are in no state that anybody can read.
        cast.app.sign_in("ada").await;
    }

    async fn whoever_may_call_is_let_in(on: On) {
        let cast = Cast::on(on).await;
        let mut stages = vec![cast];
        for row in TABLE {
            let cast = stages.last().unwrap();
            let token = match row.gate {
                Gate::Public => "",
                Gate::Token | Gate::Session | Gate::Pair => &cast.user.live,
                Gate::Admin => &cast.chief.live,
            };
            let before = cast.state().await;
            let answer = row.call(cast, row.method, token, Way::Bearer).await;
            assert_eq!(answer.status, row.success, "{} {}\n{answer:?}", row.method, row.path);
            if row.changes {
                assert_ne!(cast.state().await, before, "{} {}", row.method, row.path);
                let next = stages.pop().unwrap().again().await;
                stages.push(next);
            }
        }
    }

    async fn what_is_public_asks_nobody_who_calls(on: On) {
        let cast = Cast::on(on).await;
        let before = cast.state().await;
        for row in TABLE.iter().filter(|row| row.gate == Gate::Public) {
            let request = |token: &str| row.request(&cast, row.method, "").bearer_auth(token.to_owned());
            for token in ["made.up.token", &cast.user.expired, &cast.user.forged, &cast.user.disabled] {
                let answer = cast.app.node.send(request(token)).await;
                assert_eq!(answer.status, row.success, "{} {}\n{answer:?}", row.method, row.path);
            }
        }
        // A sign-in is one of these, and has begun a session for each of the tokens.
        let added = |path: &str| TABLE.iter().any(|row| row.path == path && row.gate == Gate::Public);
        assert!(added("/login") && cast.state().await != before);
    }

    async fn a_pair_is_asked_for_both(on: On) {
        let cast = Cast::on(on).await;
        let node = &cast.app.node;
        let before = cast.state().await;
        let (user, refresh) = (&cast.user, json!({ "refresh_token": cast.user.refresh }));
        let of = |path: &str, token: Option<&str>, body: Option<&Value>| {
            let request = token.into_iter().fold(node.post(path), RequestBuilder::bearer_auth);
            node.send(body.into_iter().fold(request, RequestBuilder::json))
        };
        let refresh_path = "/token/refresh";
        of(refresh_path, None, None).await.problem(400, "invalid_request");
        of(refresh_path, Some(&user.live), None).await.problem(400, "invalid_request");
        of(refresh_path, None, Some(&refresh)).await.problem(400, "invalid_request");
        of("/logout", None, None).await.problem(401, "authentication_required");
        of("/logout", Some(&user.expired), None).await.problem(401, "token_expired");
        for path in [refresh_path, "/logout"] {
            for token in [&user.forged, &user.unsigned, &user.refresh, &cast.chief.live, &user.revoked, &cast.auditor] {
                of(path, Some(token), Some(&refresh)).await.problem(401, "invalid_token");
            }
            for (name, value) in FOREIGN {
                let cookies = format!("__Host-relatch-at={}; __Host-relatch-rt={}", user.live, user.refresh);
                let request = node.post(path).header(name, value).header("Cookie", cookies);
                node.send(request).await.problem(403, "cross_site_request");
            }
            let query = format!("{path}?access_token={}&refresh_token={}", user.live, user.refresh);
            node.send(node.post(&query)).await.problem(400, "invalid_request");
        }
        assert_eq!(cast.state().await, before);
    }

    async fn an_object_is_found_only_under_its_owner(on: On) {
        let cast = Cast::on(on).await;
        let (chief, before) = (&cast.chief.device, cast.state().await);
        for user in [&cast.auditor_id, &cast.chief.device.user_id] {
            let path = format!("/admin/users/{user}/sessions/{}", cast.user.device.session_id);
            chief.delete(&path).await.problem(404, "not_found");
        }
        // An administrator ends others' sessions as an administrator, not as their user.
        chief.delete(&format!("/sessions/{}", cast.user.device.session_id)).await.problem(404, "not_found");
        assert_eq!(cast.state().await, before);
    }
}
