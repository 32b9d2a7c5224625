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
use crate::keys::ring::{KeyRing, KeyState, RingKey};
use crate::keys::settling::Rotation;
use crate::keys::signing::Algorithm;
use crate::store::{NewEntry, StoreError};

/// For how long a key is published, at least, before it signs by itself: twice as long as answers with the key set may be kept.
const PUBLISHED_FOR: Duration = Duration::from_mins(10);

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
    let ring = app.keys.reload(&*app.store).await?;
    let mut keys: Vec<_> = ring.keys().iter().map(|key| KeyInfo::of(key, &ring)).collect();
    let rank =
        |key: &KeyInfo| (key.state == KeyState::Next, Reverse(key.created_at), Reverse(key.kid.clone()));
    keys.sort_by_cached_key(rank);
    Ok(keys)
}

/// Signs with the next key: this node at once, the others as soon as they have loaded it. The former
/// ones are retired: what they signed stays good, but for the key `leaked`, if one is named. Nothing if there is no such key.
///
/// # Errors
/// If the store fails or others change the keys all the time.
pub async fn rotate_keys(
    app: &App,
    origin: &Origin,
    leaked: Option<&str>,
) -> Result<Option<KeyInfo>, Failure> {
    rotated(app, origin, Rotation { from: None, leaked }).await
}

/// Rotates the keys if the one that signs has done so for as long as it should, and the next one has been published for
/// long enough. Of nodes that do so at the same time one rotates them. Gives the key that signs from now on, if it is
/// another.
///
/// # Errors
/// If the store fails or others change the keys all the time.
pub async fn rotate_keys_when_due(app: &App) -> Result<Option<KeyInfo>, Failure> {
    let (Some(after), Some(ring)) = (app.policy.rotate_keys_after, app.keys.snapshot()) else {
        return Ok(None);
    };
    if !ring.is_due(app.clock.now(), after, PUBLISHED_FOR) {
        return Ok(None);
    }
    rotated(app, &Origin::server(), Rotation { from: Some(ring.minting_key().kid()), leaked: None }).await
}

async fn rotated(app: &App, origin: &Origin, rotation: Rotation<'_>) -> Result<Option<KeyInfo>, Failure> {
    let event = |kid: String| Event::KeyRotated { kid, revoked: rotation.leaked.map(str::to_owned) };
    let record = |event: &Event| AuditRecord::of(origin, event, app.clock.now());
    // Should this server be lost on the way, it is on record that somebody wanted it.
    let operation = app.open(origin, What::Rotate, vec![record(&event(String::new()))]).await?;
    let rotated = app.keys.rotate(&*app.store, &*app.clock, app.random, rotation).await?;
    let Some((kid, ring)) = rotated else {
        app.withdraw(operation).await;
        return Ok(None);
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
    made.map(Some).ok_or_else(|| Failure::Internal("a key is missing that was just made".to_owned()))
}
