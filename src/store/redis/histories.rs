//! The histories of a user's sessions: a key of their own, so that reading the sessions does not read them too.

use std::collections::BTreeMap;

use relatch_domain::{SessionId, SessionRef, UserId};

use super::Handle;
use super::failure::Effect;
use super::reply::{self, Row};
use super::request::{Request, Script, script};
use crate::store::histories::is_line;
use crate::store::{HISTORY_BYTES, HISTORY_KEEPS, StoreError};

static APPEND: Script = script!("append_history", Effect::Writes);

impl Handle {
    pub(super) async fn add_to_history(&self, session: SessionRef, line: &str) -> Result<(), StoreError> {
        if !is_line(line) {
            return Ok(());
        }
        let sessions = self.keyspace.of_user(session.user).sessions;
        let request = APPEND.on([&sessions, &self.keyspace.histories(session.user)]);
        let request = request.arg(session.session.as_bytes()).arg(line).arg(HISTORY_KEEPS).arg(HISTORY_BYTES);
        self.router.ask(&request).await.map(drop)
    }

    pub(super) async fn history_of(&self, session: SessionRef) -> Result<Vec<String>, StoreError> {
        let key = self.keyspace.histories(session.user);
        let request = Request::read("HGET", &key).arg(session.session.as_bytes());
        let text = reply::bytes(self.router.ask(&request).await?)?;
        Ok(lines(&text.unwrap_or_default()))
    }

    pub(super) async fn histories_of(
        &self,
        user: UserId,
    ) -> Result<BTreeMap<SessionId, Vec<String>>, StoreError> {
        let request = Request::read("HGETALL", &self.keyspace.histories(user));
        let mut fields = Row::new(self.router.ask(&request).await?)?;
        let mut histories = BTreeMap::new();
        while let Some(field) = fields.value() {
            let field = reply::bytes(field)?.unwrap_or_default();
            let text = fields.bytes()?.unwrap_or_default();
            // The sum of their lengths is no session, nor is what another version adds.
            let Ok(id) = reply::session_id(&field) else { continue };
            histories.insert(id, lines(&text));
        }
        Ok(histories)
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}
