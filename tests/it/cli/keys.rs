//! `relatch key`.

use serde_json::Value;

use super::{done, failed, on_each_way, relatch};

/// The key that an access token names in its header.
fn kid(access_token: &str) -> String {
    let header = access_token.split('.').next().unwrap();
    let header = relatch_domain::base64url::decode(header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

on_each_way! {
    async fn a_rotated_key_signs_and_the_one_before_stays_good(place: Place) {
        place.app.user("ada").await;
        let before = place.app.sign_in("ada").await;
        let before_it = place.json(&["key", "list"]);
        let (first, next) = (&before_it[0], &before_it[1]);
        assert_eq!((next["state"].as_str(), next["signs"].as_bool()), (Some("next"), Some(false)));
        assert_eq!((first["state"].as_str(), first["signs"].as_bool()), (Some("active"), Some(true)));
        assert_eq!(first["algorithm"], "ES256");
        assert_eq!(first["kid"], kid(&before.pair.access));

        let said = place.does(&["key", "rotate"]);
        let new = said.strip_suffix(" (ES256) signs from now on\n").unwrap();
        assert_eq!(new, next["kid"]);
        let keys = place.json(&["key", "list"]);
        let shown = |key: &Value| (key["kid"].clone(), key["state"].clone(), key["signs"].clone());
        assert_eq!(shown(&keys[0]), (new.into(), "active".into(), true.into()), "the one that signs first");
        assert_eq!(shown(&keys[1]), (first["kid"].clone(), "retired".into(), false.into()));
        let table = place.table(&["key", "list"]);
        assert_eq!(table[0], ["KEY", "ALGORITHM", "STATE", "CREATED", "RETIRED"]);
        assert_eq!(table[1][..3], [new, "ES256", "active (signs)"]);
        assert_eq!((table[2][2].as_str(), table[1][4].as_str()), ("retired", "-"));
        assert_eq!(keys[1]["retired_at"], table[2][4].as_str());

        // A server that was not asked itself follows within seconds.
        let mut device = place.app.sign_in("ada").await;
        while kid(&device.pair.access) != new {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            device.refresh().await.ok();
        }
        device.check().await.ok();
        before.check().await.ok();
        let by_operator = place.object(&["audit", "tail", "--event", "key_rotated"]);
        assert_eq!(by_operator["actor"]["kind"], "operator");
        assert_eq!(by_operator["details"]["kid"], new);
    }

    async fn a_leaked_key_is_revoked(place: Place) {
        let first = place.json(&["key", "list"])[0]["kid"].as_str().unwrap().to_owned();
        let unknown = place.fails(&["key", "rotate", "--revoke", "leaked"], 1);
        assert_eq!(unknown, "relatch: there is no key \"leaked\"\n");
        let unknown = place.fails(&["key", "rotate", "--revoke", "-leaked"], 1);
        assert_eq!(unknown, "relatch: there is no key \"-leaked\"\n");
        let said = place.does(&["key", "rotate", "--revoke", &first]);
        assert!(said.ends_with(&format!(" (ES256) signs from now on\n{first} is revoked\n")), "{said}");
        assert_eq!(place.json(&["key", "list"])[1]["state"], "revoked");
    }
}

#[test]
fn keys_are_made_by_the_first_start_of_a_server_or_by_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let none = failed(relatch(dir.path(), &["key", "list"], ""), 1);
    assert!(none.contains("there is no key yet"), "{none}");
    let key: Value =
        serde_json::from_str(&done(relatch(dir.path(), &["key", "rotate", "--json"], ""))).unwrap();
    let listed = done(relatch(dir.path(), &["key", "list", "--json"], ""));
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&key, listed[1]["state"].as_str(), listed.len()), (&listed[0], Some("next"), 2));
}

#[test]
fn a_generated_master_key_is_a_new_one_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) =
        (relatch(dir.path(), &["key", "generate"], ""), relatch(dir.path(), &["key", "generate"], ""));
    let (one, two) = (done(one), done(two));
    assert_ne!(one, two);
    assert_eq!(one.trim().len(), 44);
}
