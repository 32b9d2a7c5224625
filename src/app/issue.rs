//! The pair of tokens that a sign-in or a refresh hands out.

use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::session::SessionRecord;
use relatch_domain::user::Profile;
use relatch_domain::{SessionRef, UnixMillis};
use zeroize::Zeroizing;

use super::{App, Failure};
use crate::keys::mint::{MintedToken, NewAccessToken};

/// An access token and the refresh token that belongs to it.
pub struct IssuedPair {
    /// The session.
    pub session: SessionRef,
    /// The access token.
    pub access: MintedToken,
    /// The refresh token.
    pub refresh: Zeroizing<String>,
    /// Seconds until the refresh token expires if it is not used.
    pub refresh_expires_in: u32,
}

impl App {
    /// The tokens that are current according to `record`: the refresh token is the same each time, the access token
    /// a fresh one.
    pub(super) fn issue(
        &self,
        session: SessionRef,
        record: &SessionRecord,
        profile: &Profile,
        now: UnixMillis,
    ) -> Result<IssuedPair, Failure> {
        let ring = self.ring()?;
        let jti = self.random.bytes::<16>()?;
        let new = NewAccessToken { session, profile, auth_time: record.signed_in_at, now, jti };
        let access = self.issuer.mint(&ring, &new)?;
        let token = RefreshToken::current(session, record);
        // A record may name a MAC key that was taken out of the configuration since. A token under the minting key
        // says the same and is accepted like it.
        let refresh = token
            .seal(record.mac_key, &self.macs)
            .or_else(|| token.seal(self.macs.minting_id(), &self.macs))
            .ok_or_else(|| Failure::Internal("the MAC ring has no minting key".to_owned()))?;
        let refresh_expires_in = record.idle_deadline.0.saturating_sub(now.seconds().0);
        Ok(IssuedPair { session, access, refresh, refresh_expires_in })
    }
}
