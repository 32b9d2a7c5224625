//! The signing keys as operators see them.

use std::cmp::Reverse;
use std::time::Duration;

use relatch_domain::UnixMillis;
use relatch_domain::event::Event;
use relatch_domain::revocation::{KeyId, Revocation};

use super::audit::AuditRecord;
use super::operation::{Done, What};
use super::origin::Origin;
use super::{App, Failure};
use crate::keys::error::KeysError;
use crate::keys::lifetimes::KEY_SET_CACHED;
use crate::keys::ring::{KeyRing, KeyState, RingKey};
use crate::keys::settling::Rotation;
use crate::keys::signing::Algorithm;
use crate::store::{NewEntry, StoreError};

/// For how long a key is published, at least, before it signs by itself: twice as long as answers with the key set may be kept.
const PUBLISHED_FOR: Duration = KEY_SET_CACHED.saturating_mul(2);

/// A signing key, without its private part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id: `kid` of the tokens that it signs.
    pub kid: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What it may be used for.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it stopped signing.
    pub retired_at: Option<UnixMillis>,
    /// Whether this node signs with it at the moment.
    pub signs: bool,
}

impl KeyInfo {
    fn of(key: &RingKey, ring: &KeyRing) -> Self {
        Self {
            kid: key.signing.kid().to_owned(),
            algorithm: key.signing.algorithm(),
            state: key.state,
            created_at: key.created_at,
            retired_at: key.retired_at,
            signs: key.signing.kid() == ring.minting_key().kid(),
        }
    }
}

/// All signing keys as the store has them, the newest first; at the end those that do not sign yet.
///
/// # Errors
/// If the store fails, or holds keys that cannot be read or none that is active.
pub async fn list_keys(app: &App) -> Result<Vec<KeyInfo>, Failure> {
    let ring = app.keys.reload(&*app.store, app.clock.now()).await?;
    let mut keys: Vec<_> = ring.keys().iter().map(|key| KeyInfo::of(key, &ring)).collect();
    let rank =
        |key: &KeyInfo| (key.state == KeyState::Next, Reverse(key.created_at), Reverse(key.kid.clone()));
    keys.sort_by_cached_key(rank);
    Ok(keys)
}

/// Why the keys were not rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRotated {
    /// There is no key of the id that was to be revoked.
    NoSuchKey,
    /// So many keys have retired lately that one more would make the key set too long. The time after which there is room.
    NoRoom(Duration),
}

/// Signs with the next key: this node at once, the others as soon as they have loaded it. The former
/// ones are retired: what they signed stays good, but for the key `leaked`, if one is named.
///
/// # Errors
/// If the store fails or others change the keys all the time.
pub async fn rotate_keys(
    app: &App,
    origin: &Origin,
    leaked: Option<&str>,
) -> Result<Result<KeyInfo, NotRotated>, Failure> {
    rotated(app, origin, Rotation { from: None, leaked }).await
}

/// Rotates the keys if the one that signs has done so for as long as it should, the next one has been published for
/// long enough, and there is room for one more that is retired. Of nodes that do so at the same time one rotates them. Gives
/// the key that signs from now on, if it is another.
///
/// # Errors
/// If the store fails or others change the keys all the time.
pub async fn rotate_keys_when_due(app: &App) -> Result<Option<KeyInfo>, Failure> {
    let (Some(after), Some(ring)) = (app.policy.rotate_keys_after, app.keys.snapshot()) else {
        return Ok(None);
    };
    let now = app.clock.now();
    if !ring.is_due(now, after, PUBLISHED_FOR) || ring.until_there_is_room(now).is_some() {
        return Ok(None);
    }
    let rotation = Rotation { from: Some(ring.minting_key().kid()), leaked: None };
    Ok(rotated(app, &Origin::server(), rotation).await?.ok())
}

async fn rotated(
    app: &App,
    origin: &Origin,
    rotation: Rotation<'_>,
) -> Result<Result<KeyInfo, NotRotated>, Failure> {
    let event = |kid: String| Event::KeyRotated { kid, revoked: rotation.leaked.map(str::to_owned) };
    let record = |event: &Event| AuditRecord::of(origin, event, app.clock.now());
    // Should this server be lost on the way, it is on record that somebody wanted it.
    let operation = app.open(origin, What::Rotate, vec![record(&event(String::new()))]).await?;
    let (kid, ring) = match app.keys.rotate(&*app.store, &*app.clock, app.random, rotation).await {
        Ok(Some(rotated)) => rotated,
        Ok(None) => {
            app.withdraw(operation).await;
            return Ok(Err(NotRotated::NoSuchKey));
        }
        Err(KeysError::NoRoom(wait)) => {
            app.withdraw(operation).await;
            return Ok(Err(NotRotated::NoRoom(wait)));
        }
        Err(error) => return Err(error.into()),
    };
    let event = event(kid.clone());
    app.note(origin, &event);
    let revoked = rotation.leaked.and_then(KeyId::new).map(Revocation::Key);
    let done = Done { entry: revoked.map(NewEntry::unrecorded), durable: true, ..Done::default() };
    if !app.conclude(origin, operation.recording(vec![record(&event)]), done).await? {
        return Err(
            StoreError::Indeterminate("too few replicas know that the keys were rotated".to_owned()).into()
        );
    }
    let made = ring.keys().iter().find(|key| key.signing.kid() == kid).map(|key| KeyInfo::of(key, &ring));
    made.map(Ok).ok_or_else(|| Failure::Internal("a key is missing that was just made".to_owned()))
}
