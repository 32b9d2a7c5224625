//! What whoever has the master key can do, and nothing of the store.

use relatch::keys::master::{MasterKey, MasterKeys};
use relatch_domain::mac::MacRing;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::{Generation, Nonce};
use relatch_testkit::app::master_key;

/// A refresh token as the store would have one if it had lost a rotation: of the session of `genuine`, made up otherwise.
fn ahead_of(genuine: &str) -> String {
    let keys = MasterKeys::new(&MasterKey::from_base64(&master_key()).unwrap(), &[]).unwrap();
    let ring: MacRing = keys.mac_ring().unwrap();
    let genuine = RefreshToken::open(genuine, &ring).unwrap();
    let Generation(generation) = genuine.generation;
    let forged = RefreshToken { generation: Generation(generation + 1), nonce: Nonce([7; 8]), ..genuine };
    forged.seal(ring.minting_id(), &ring).unwrap().to_string()
}

on_both_stores! {
    async fn it_continues_a_session_with_one_of_its_access_tokens_until_the_honest_device_refreshes(on: On) {
        let app = on.start().await;
        app.user("ada").await;
        let mut honest = app.sign_in("ada").await;
        let mut thief = honest.clone();
        thief.pair.refresh = ahead_of(&honest.pair.refresh);

        let mut without = thief.clone();
        without.pair.access = app.sign_in("ada").await.pair.access;
        without.refresh().await.problem(401, "invalid_token");

        thief.refresh().await.ok();
        honest.refresh().await.problem(401, "refresh_token_reused");
        let told = thief.refresh().await.problem(401, "session_revoked");
        assert_eq!(told["reason"], "reuse");

        let admin = app.admin().await;
        let audit = admin.get(&format!("/admin/audit?event=refresh&user={}", honest.user_id)).await.ok();
        let verdicts: Vec<_> = audit["items"].as_array().unwrap().iter().collect();
        assert_eq!(verdicts.len(), 2, "{audit}");
        assert_eq!(verdicts[0]["details"]["verdict"], "reuse");
        assert_eq!(verdicts[1]["details"]["verdict"], "heal");
    }
}
