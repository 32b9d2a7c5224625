//! The floor's one step in Redis.

use std::time::Duration;

use aws_lc_rs::digest;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use relatch_domain::attempt::AttemptHash;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::session::SessionRecord;
use relatch_domain::{Generation, Nonce, SessionRef, UnixMillis, UnixSeconds, UserId, record};

use crate::Error;

const ROTATE: &str = include_str!("rotate.lua");

/// What a rotation writes.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    /// Nonce of the token to come.
    pub nonce: Nonce,
    /// Hash of the attempt key, if one was sent.
    pub attempt: Option<AttemptHash>,
    /// The present moment.
    pub now: UnixMillis,
    /// The session's next idle deadline.
    pub idle_deadline: UnixSeconds,
}

/// One multiplexed connection; a worker has its own.
#[derive(Clone)]
pub struct Sessions {
    connection: MultiplexedConnection,
    script: String,
}

impl Sessions {
    /// Connects and loads the script.
    ///
    /// # Errors
    /// If the address makes no sense or Redis does not answer.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_secs(2)));
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let script = redis::cmd("SCRIPT").arg("LOAD").arg(ROTATE).query_async(&mut connection).await?;
        Ok(Self { connection, script })
    }

    /// Writes a session's first record.
    ///
    /// # Errors
    /// If Redis does not take it.
    pub async fn begin(&self, session: SessionRef, first: &SessionRecord) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let () = redis::cmd("HSET")
            .arg(key(session.user))
            .arg(session.session.as_bytes())
            .arg(&record::encode(first))
            .query_async(&mut connection)
            .await?;
        Ok(())
    }

    /// Rotates if `token` is the current one; then gives the record as it was before.
    ///
    /// # Errors
    /// If Redis does not answer, or with what is no record.
    pub async fn rotate(&self, token: &RefreshToken, next: &Next) -> Result<Option<SessionRecord>, Error> {
        let [_, _, rotated_at @ ..] = next.now.0.to_be_bytes();
        let mut attempt_and_time = [0; 14];
        let attempt = next.attempt.map_or([0; 8], AttemptHash::bytes);
        attempt_and_time.iter_mut().zip(attempt.iter().chain(&rotated_at)).for_each(|(to, from)| *to = *from);
        let mut connection = self.connection.clone();
        let seen: Option<Vec<u8>> = redis::cmd("EVALSHA")
            .arg(&self.script)
            .arg(1)
            .arg(key(token.session.user))
            .arg(token.session.session.as_bytes())
            .arg(&state(token.generation, token.nonce))
            .arg(&state(token.generation.next(), next.nonce))
            .arg(&attempt_and_time)
            .arg(&next.idle_deadline.0.to_be_bytes())
            .query_async(&mut connection)
            .await?;
        Ok(seen.as_deref().map(record::decode).transpose()?)
    }
}

/// A user's id, the same for the same name: the floor keeps no users.
pub fn user_id(username: &str) -> UserId {
    let digest = digest::digest(&digest::SHA256, username.as_bytes());
    UserId::from_bytes(digest.as_ref().first_chunk().copied().unwrap_or_default())
}

fn key(user: UserId) -> String {
    format!("floor:{{{user}}}:s")
}

/// Generation and nonce as they stand side by side in a record.
fn state(generation: Generation, nonce: Nonce) -> [u8; 12] {
    let mut bytes = [0; 12];
    let parts = generation.0.to_be_bytes().into_iter().chain(nonce.0);
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    bytes
}
