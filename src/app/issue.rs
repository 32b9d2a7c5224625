//! The pair of tokens that a sign-in or a refresh hands out.

use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::session::{Delivery, SessionRecord};
use relatch_domain::user::Profile;
use relatch_domain::{SessionRef, UnixMillis};
use zeroize::Zeroizing;

use super::{App, Failure};
use crate::keys::mint::{MintedToken, NewAccessToken};
use crate::keys::signing::Algorithm;

/// An access token and the refresh token that belongs to it.
pub struct IssuedPair {
    /// The session.
    pub session: SessionRef,
    /// How the tokens shall reach the client.
    pub delivery: Delivery,
    /// The access token.
    pub access: MintedToken,
    /// The refresh token.
    pub refresh: Zeroizing<String>,
    /// Seconds until the refresh token expires if it is not used.
    pub refresh_expires_in: u32,
}

impl App {
    /// The tokens that are current according to `record`: the refresh token is the same each time, the access token
    /// a fresh one. They live as long as the session is let live by the lifetimes that are configured now.
    pub(super) fn issue(
        &self,
        session: SessionRef,
        record: &SessionRecord,
        profile: &Profile,
        now: UnixMillis,
    ) -> Result<IssuedPair, Failure> {
        let record = &record.bounded_by(&self.policy.rotation);
        let access = self.mint(session, record, profile, now)?;
        let token = RefreshToken::current(session, record);
        // A record may name a MAC key that was taken out of the configuration since. A token under the minting key
        // says the same and is accepted like it.
        let refresh = token
            .seal(record.mac_key, &self.macs)
            .or_else(|| token.seal(self.macs.minting_id(), &self.macs))
            .ok_or_else(|| Failure::Internal("the MAC ring has no minting key".to_owned()))?;
        let refresh_expires_in = left_of(record, now);
        Ok(IssuedPair { session, delivery: record.delivery, access, refresh, refresh_expires_in })
    }

    /// A fresh access token of a session, which does not outlive it.
    pub(super) fn mint(
        &self,
        session: SessionRef,
        record: &SessionRecord,
        profile: &Profile,
        now: UnixMillis,
    ) -> Result<MintedToken, Failure> {
        let (auth_time, not_after) = (record.signed_in_at, record.idle_deadline);
        let jti = self.random.bytes::<16>()?;
        let new = NewAccessToken { session, profile, auth_time, now, not_after, jti };
        let ring = self.ring()?;
        let minted = self.issuer.mint(&ring, &new)?;
        // An HMAC is as quick to check as to remember.
        if ring.minting_key().algorithm() != Algorithm::HS256 {
            self.keys.signatures().learn(&minted.token);
        }
        Ok(minted)
    }
}

/// Whole seconds until a session, as it is judged, expires if it does not refresh. The idle deadline is never after the
/// absolute one.
pub(super) fn left_of(record: &SessionRecord, now: UnixMillis) -> u32 {
    record.idle_deadline.millis().age_since(now).as_secs().try_into().unwrap_or(u32::MAX)
}
