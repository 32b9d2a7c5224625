//! A session's record cannot be read: that session gets 500, nothing is decided about it, and everything else goes on.

use relatch_domain::base64url;
use relatch_testkit::{Device, KEY, On, TestApp};

/// Bytes as Redis takes them within double quotes.
fn quoted(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Puts something else in the place of a session's record. Gives what was there.
fn spoil(app: &mut TestApp, device: &Device, change: impl FnOnce(&mut Vec<u8>)) {
    let id: [u8; 32] = base64url::decode_exact(&device.session_id).unwrap();
    let (key, field) = (format!("relatch:{{{}}}:s", device.user_id), quoted(&id[16..]));
    let hex = app.redis().say(&format!(
        "EVAL \"return (string.gsub(redis.call('HGET', KEYS[1], ARGV[1]), '.', \
         function(c) return string.format('%02x', string.byte(c)) end))\" 1 {key} \"{field}\""
    ));
    let mut record: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(record.len(), 64, "{hex}");
    change(&mut record);
    let answer = app.redis().say(&format!("HSET {key} \"{field}\" \"{}\"", quoted(&record)));
    assert_eq!(answer, ":0");
}

#[tokio::test]
async fn one_session_that_cannot_be_read_is_an_error_for_itself_alone() {
    let mut app = On::redis().in_own_process().start().await;
    app.user("ada").await;
    let changes: [fn(&mut Vec<u8>); 3] = [
        |record| record.truncate(40),
        |record| record[0] = 9,
        |record| record.iter_mut().for_each(|byte| *byte = 0xff),
    ];
    for change in changes {
        let (broken, mut other) = (app.sign_in("ada").await, app.sign_in("ada").await);
        spoil(&mut app, &broken, change);
        let before = errors(&app);
        let answer = broken.send_refresh(Some(KEY)).await;
        answer.problem(500, "internal_error");
        assert_eq!(errors(&app), before + 1, "told once: {}", app.log());
        broken.get("/sessions").await.problem(500, "internal_error");
        // Local verification needs no record.
        broken.check().await.ok();
        other.refresh().await.ok();
        other.get("/sessions").await.ok();
        app.node.send(app.node.get("/health/ready")).await.ok();
        // A revocation holds for what cannot be read, too.
        other.delete("/sessions").await.expect(204);
        broken.send_refresh(Some(KEY)).await.problem(401, "session_revoked");
    }
}

fn errors(app: &TestApp) -> usize {
    app.log().lines().filter(|line| line.contains("\"level\":\"ERROR\"")).count()
}
