//! What is wrong with the server: a record that cannot be read, and more passwords than can be hashed at once.
//!
//! That Redis is away is another way to the second one, which the embedded store does not have: see `outage.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redb::{Database, DatabaseError, TableDefinition};
use relatch::http::error::Code;
use relatch_domain::SessionRef;
use relatch_testkit::{Answer, Device, On, TestApp};

use super::signed_in;

pub(super) async fn bring_about(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::InternalError => {
            let (mut app, mut ada) = signed_in(on).await;
            spoil_record(&mut app, &mut ada).await;
            ada.refresh().await
        }
        Code::TemporarilyUnavailable => {
            // So much work that nothing is done before all have asked.
            let on = on.set("password.bcrypt_cost", "11").set("password.hash_threads", "1");
            let on = on.set("password.max_wait", "500ms").set("rate_limit.enabled", "false");
            let app = on.start().await;
            first_of_a_crowd_who_is_sent_away(&app).await
        }
        _ => return None,
    })
}

/// Puts what is no record in the place of the session's.
async fn spoil_record(app: &mut TestApp, device: &mut Device) {
    let session: SessionRef = device.session_id.parse().unwrap();
    if app.is_on_redis() {
        let key = format!("relatch:{{{}}}:s", device.user_id);
        let script = format!("return redis.call('HSET','{key}',redis.call('HKEYS','{key}')[1],'nonsense')");
        assert_eq!(app.redis().say(&format!("EVAL \"{script}\" 0")), ":0");
    } else {
        app.while_stopped(|dir| spoil_file(&dir.join("relatch.redb"), session)).await;
        device.node = app.node.clone();
    }
}

fn spoil_file(path: &Path, session: SessionRef) {
    const SESSIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");
    let mut key = [0; 32];
    key[..16].copy_from_slice(session.user.as_bytes());
    key[16..].copy_from_slice(session.session.as_bytes());
    let database = open_when_free(path);
    let writing = database.begin_write().unwrap();
    let before =
        writing.open_table(SESSIONS).unwrap().insert(&key, b"nonsense".as_slice()).unwrap().is_some();
    assert!(before, "the record was there");
    writing.commit().unwrap();
}

/// The server has stopped, but a read of its store may still be on its way out.
fn open_when_free(path: &Path) -> Database {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Database::open(path) {
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// Many more people sign in at once than can be hashed or wait for it.
async fn first_of_a_crowd_who_is_sent_away(app: &TestApp) -> Answer {
    let mut answers: FuturesUnordered<_> =
        (0..40).map(|_| app.login("nobody", "an unusual password")).collect();
    loop {
        let answer = answers.next().await.expect("somebody is sent away");
        if answer.status == 503 {
            return answer;
        }
    }
}
