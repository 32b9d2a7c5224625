//! The signing keys as operators see them.

use relatch_domain::UnixMillis;
use relatch_domain::event::Event;

use super::origin::Origin;
use super::{App, Failure};
use crate::keys::ring::{KeyRing, KeyState, RingKey};
use crate::keys::signing::Algorithm;

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

/// All signing keys as the store has them, the newest first.
///
/// # Errors
/// If the store fails, or holds keys that cannot be read or none that is active.
pub async fn list_keys(app: &App) -> Result<Vec<KeyInfo>, Failure> {
    let ring = app.keys.reload(&*app.store).await?;
    let mut keys: Vec<_> = ring.keys().iter().map(|key| KeyInfo::of(key, &ring)).collect();
    keys.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.kid.cmp(&a.kid)));
    Ok(keys)
}

/// Makes a new signing key, with which this node signs at once and the others as soon as they have loaded it. The former
/// ones are retired: what they signed stays good, but for the key `revoke`, if one is named. Nothing if there is no such key.
///
/// # Errors
/// If the store fails or others change the keys all the time.
pub async fn rotate_keys(
    app: &App,
    origin: &Origin,
    revoke: Option<&str>,
) -> Result<Option<KeyInfo>, Failure> {
    let rotated = app.keys.rotate(&*app.store, &*app.clock, app.random, revoke).await?;
    let Some((kid, ring)) = rotated else { return Ok(None) };
    app.tell(origin, &Event::KeyRotated { kid: kid.clone(), revoked: revoke.map(str::to_owned) }).await;
    let made = ring.keys().iter().find(|key| key.signing.kid() == kid).map(|key| KeyInfo::of(key, &ring));
    made.map(Some).ok_or_else(|| Failure::Internal("a key is missing that was just made".to_owned()))
}
