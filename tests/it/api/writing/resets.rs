//! Each use case, whose client sends it and resets the connection: it is done and told of, or it is not done.

use std::time::Duration;

use tempfile::TempDir;

use super::acts::{CHANGES, ENDS};
use super::cuts::look_at_all;
use super::look::{Outcome, Stored};
use super::{on, socket_in};

/// When the client goes, in milliseconds after it has sent everything.
const MOMENTS: [u64; 5] = [0, 1, 3, 8, 20];

on_both_stores! {
    async fn what_a_client_that_resets_has_asked_for_is_done_and_told_of_or_not_done(store: On) {
        let dir = TempDir::new().unwrap();
        let mut app = on(store).set("admin.socket", &socket_in(&dir)).start().await;
        let (mut outcomes, mut early) = (Vec::new(), Vec::new());
        for kind in ENDS.into_iter().chain(CHANGES) {
            for moment in MOMENTS {
                let act = kind.prepare(&app, &format!("{kind:?}-{moment}").to_lowercase()).await;
                early.push(act.call.send_and_reset(&app.node, Duration::from_millis(moment)).await);
                let how = format!("{kind:?} reset after {moment} ms");
                outcomes.push(Outcome { act, how, is_answered: false, tries: 1 });
            }
        }
        // There is no other way to see whether the last ones are at their end.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stored = app.is_on_redis().then(|| Stored::of(&[&*app.redis()], &outcomes));
        let done = look_at_all(&app, &[&app.node], stored.as_ref(), &outcomes).await;
        let unheard = done.iter().zip(&early).filter(|(done, early)| **done && **early).count();
        assert!(unheard > 0, "nothing was done after its client had gone: {done:?}, {early:?}");
    }
}
