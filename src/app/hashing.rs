//! For whom a password is hashed: what decides its share of the hashing in a crowd.

use relatch_domain::UserId;
use relatch_domain::event::Actor;

use super::guesses::MANY;
use super::origin::{Origin, one_caller};
use super::{App, Failure};
use crate::keys::password::{Claim, Share, ShareOf};

impl App {
    /// A claim of whoever asks, to the account of this name: parsed or, if it is nobody's, as it was typed.
    ///
    /// # Errors
    /// If it would have to wait longer than `password.max_wait`.
    pub(super) fn claim_for_account(&self, account: &str, origin: &Origin) -> Result<Claim, Failure> {
        let at_once = self.policy.guesses.map_or(u32::MAX, |limits| half(limits.account.free));
        let account = Share { of: ShareOf::Account(account), callers: 1, at_once };
        let shares = [Some(account), self.address(origin)];
        self.claim(&shares.into_iter().flatten().collect::<Vec<_>>())
    }

    /// A claim of the owner of an account, known by a session or a device.
    ///
    /// # Errors
    /// As [`Self::claim_for_account`].
    pub(super) fn claim_for_owner(&self, user: UserId, origin: &Origin) -> Result<Claim, Failure> {
        let at_once = self.policy.guesses.map_or(u32::MAX, |limits| half(limits.account.free));
        let owner = Share { of: ShareOf::Owner(user), callers: 1, at_once };
        let shares = [Some(owner), self.address(origin)];
        self.claim(&shares.into_iter().flatten().collect::<Vec<_>>())
    }

    /// A claim of a stranger who makes an account. It stands behind those of whoever has one.
    ///
    /// # Errors
    /// As [`Self::claim_for_account`].
    pub(super) fn claim_for_registration(&self, origin: &Origin) -> Result<Claim, Failure> {
        let all = Share { of: ShareOf::Registrations, callers: 1, at_once: u32::MAX };
        let shares = [Some(all), self.address(origin)];
        self.claim(&shares.into_iter().flatten().collect::<Vec<_>>())
    }

    /// A claim of whoever acts, for another's account: an administrator, or an operator, who goes first.
    ///
    /// # Errors
    /// As [`Self::claim_for_account`].
    pub(super) fn claim_for_actor(&self, origin: &Origin) -> Result<Claim, Failure> {
        match &origin.actor {
            Actor::User(session) => self.claim_for_owner(session.user, origin),
            _ => self.claim(&[]),
        }
    }

    fn claim(&self, shares: &[Share<'_>]) -> Result<Claim, Failure> {
        Ok(self.hasher.claim(shares)?)
    }

    fn address(&self, origin: &Origin) -> Option<Share<'static>> {
        let callers = if origin.is_shared { MANY } else { 1 };
        let at_once = self.policy.guesses.map_or(u32::MAX, |limits| half(limits.address.free));
        let at_once = at_once.saturating_mul(callers);
        let of = ShareOf::Address(one_caller(origin.address?));
        Some(Share { of, callers, at_once })
    }
}

/// How many tries of those that are free may be under way at once on this node. They count until they have succeeded: more at
/// once, on two nodes, and an honest crowd would be taken for one that guesses.
const fn half(free: u32) -> u32 {
    if free < 2 { 1 } else { free / 2 }
}
