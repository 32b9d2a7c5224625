//! Admission to the password hashing: which account and which address a request counts for.

use relatch_domain::UserId;
use relatch_domain::event::Actor;

use super::guesses::CALLERS_BEHIND_A_PROXY;
use super::origin::{Origin, one_caller};
use super::{App, Failure};
use crate::keys::password::{Admission, Share, ShareOf};

impl App {
    /// Admits a request for the account of this name: the parsed name, or what was typed if that cannot be a name.
    ///
    /// # Errors
    /// If it would have to wait longer than `password.max_wait`.
    pub(super) fn admit_account(&self, name: &str, origin: &Origin) -> Result<Admission, Failure> {
        self.admit(ShareOf::Account(name), origin)
    }

    /// Admits the owner of an account, known by a session or a device.
    ///
    /// # Errors
    /// As [`Self::admit_account`].
    pub(super) fn admit_owner(&self, user: UserId, origin: &Origin) -> Result<Admission, Failure> {
        self.admit(ShareOf::Owner(user), origin)
    }

    /// Admits a registration. Registrations are served after requests for existing accounts.
    ///
    /// # Errors
    /// As [`Self::admit_account`].
    pub(super) fn admit_registration(&self, origin: &Origin) -> Result<Admission, Failure> {
        self.admit(ShareOf::Registrations, origin)
    }

    /// Admits an administrator, or an operator at the command line, who acts on another account. Operators are served first.
    ///
    /// # Errors
    /// As [`Self::admit_account`].
    pub(super) fn admit_actor(&self, origin: &Origin) -> Result<Admission, Failure> {
        match &origin.actor {
            Actor::User(session) => self.admit_owner(session.user, origin),
            _ => Ok(self.hasher.admit(&[])?),
        }
    }

    fn admit(&self, of: ShareOf<'_>, origin: &Origin) -> Result<Admission, Failure> {
        let at_once = match of {
            ShareOf::Registrations => u32::MAX,
            _ => self.policy.guesses.map_or(u32::MAX, |limits| half(limits.account.free)),
        };
        let party = Share { of, callers: 1, at_once };
        Ok(match self.address(origin) {
            Some(address) => self.hasher.admit(&[party, address])?,
            None => self.hasher.admit(&[party])?,
        })
    }

    fn address(&self, origin: &Origin) -> Option<Share<'static>> {
        let callers = if origin.is_shared { CALLERS_BEHIND_A_PROXY } else { 1 };
        let at_once = self.policy.guesses.map_or(u32::MAX, |limits| half(limits.address.free));
        let of = ShareOf::Address(one_caller(origin.address?));
        Some(Share { of, callers, at_once: at_once.saturating_mul(callers) })
    }
}

/// How many attempts of an account or an address may be under way on this node. An attempt counts as a failure until it has
/// succeeded; with all the free ones under way on two nodes, an honest crowd would be throttled.
const fn half(free: u32) -> u32 {
    if free < 2 { 1 } else { free / 2 }
}
