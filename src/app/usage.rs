//! Budgets of what succeeds: sign-ins and registrations. Each node counts for itself.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use relatch_domain::UserId;

use super::App;
use super::guesses::CALLERS_BEHIND_A_PROXY;
use super::origin::{Origin, one_caller};
use crate::budgets::{Budget, Budgets};

/// How often an account or an address may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageLimits {
    /// Successful sign-ins of an account, and changes of its password by its owner.
    pub sign_ins: Budget,
    /// Registrations from an address.
    pub registrations: Budget,
}

/// What this node has counted.
#[derive(Debug, Default)]
pub(super) struct Usage {
    sign_ins: Budgets<UserId>,
    /// By address, and whether others may be behind it.
    registrations: Budgets<(IpAddr, bool)>,
}

impl App {
    /// Counts a password of the user that was right: a sign-in, or a change of it.
    ///
    /// # Errors
    /// The time after which the user may sign in: then it was not counted.
    pub(super) fn count_success(&self, user: UserId) -> Result<(), Duration> {
        let Some(limits) = self.policy.usage else { return Ok(()) };
        self.node.usage.sign_ins.ask(user, limits.sign_ins, Instant::now())
    }

    /// Counts a registration. One whose address is not known is not counted: it comes from no listener.
    ///
    /// # Errors
    /// The time after which it may be made.
    pub(super) fn count_registration(&self, origin: &Origin) -> Result<(), Duration> {
        let (Some(limits), Some(address)) = (self.policy.usage, origin.address) else { return Ok(()) };
        let budget = limits.registrations;
        let budget = if origin.is_shared { budget.times(CALLERS_BEHIND_A_PROXY) } else { budget };
        self.node.usage.registrations.ask((one_caller(address), origin.is_shared), budget, Instant::now())
    }
}
