//! Budgets of guesses: who may try a password now, and who has to wait.
//!
//! A try is counted for the account and for where it comes from, before the password is looked at: exact across all nodes,
//! and a thousand at once are no more than a thousand one after the other. One that succeeds is taken back. A device on
//! which the user has signed in before has a budget of its own instead, so that strangers cannot lock an owner out by guessing. All
//! such devices of an account have one budget more, so that many stolen tokens give no more guesses than a few.
//! Names that nobody has are counted like any other.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use relatch_domain::device_token::{DeviceToken, PasswordNumber};
use relatch_domain::event::Event;
use relatch_domain::guesses::{GuessLimit, Guesses, Try};
use relatch_domain::user::Username;
use relatch_domain::{UnixMillis, UserId};

use super::origin::Origin;
use super::users::credentials;
use super::{App, Failure};
use crate::store::{GuessKind, GuessStep, Guesser};

/// For how many callers an address may stand that seems to be a proxy's, and that nobody has named
/// ([`crate::http::forwarded`]). It has a budget of its own: what it says of itself anybody can say.
pub const CALLERS_BEHIND_A_PROXY: u32 = 32;

/// How many times the limit of one device all known devices of an account have together. A user has few devices at hand
/// at once. Fewer stolen ones than this cannot make the others wait, since each waits for its own failures first.
const DEVICES: u32 = 4;

/// How many guesses are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimits {
    /// For an account, by anybody; and by each device that is known.
    pub account: GuessLimit,
    /// From an address, for any account.
    pub address: GuessLimit,
    /// From a block of addresses.
    pub block: GuessLimit,
    /// By all who come from no known device, for any account.
    pub strangers: GuessLimit,
}

/// A try that has been counted.
#[must_use]
pub(super) struct Counted(Vec<(GuessStep, Try)>);

impl App {
    /// Counts a try to sign in, if it need not wait. `known` is a known device of the user whose name is typed.
    ///
    /// # Errors
    /// If the store fails. The inner one is the time after which it may be made.
    pub(super) async fn count_sign_in(
        &self,
        name: &str,
        known: Option<&DeviceToken>,
        origin: &Origin,
    ) -> Result<Result<Counted, Duration>, Failure> {
        let Some(limits) = self.policy.guesses else { return Ok(Ok(Counted(Vec::new()))) };
        let guess = |guesser, limit| GuessStep { guesser, limit };
        if let Some(device) = known {
            let all = guess(of_devices(device.user, device.password), limits.account.times(DEVICES));
            return self.count_both(vec![guess(of_device(device), limits.account)], all).await;
        }
        let mut steps = vec![guess(of_account(name), limits.account)];
        match origin.address.and_then(|address| places(address, origin.is_shared)) {
            Some((address, _)) if origin.is_shared => {
                steps.push(guess(address, limits.address.times(CALLERS_BEHIND_A_PROXY)));
            }
            Some((address, block)) => {
                steps.extend([guess(address, limits.address), guess(block, limits.block)]);
            }
            None => {}
        }
        self.count_both(steps, guess(of_strangers(), limits.strangers)).await
    }

    /// Counts a try for one's own budgets, and only if it need not wait for these, for the one that is shared with others.
    async fn count_both(
        &self,
        own: Vec<GuessStep>,
        shared: GuessStep,
    ) -> Result<Result<Counted, Duration>, Failure> {
        let mut counted = match self.count(own).await? {
            Ok(counted) => counted,
            Err(wait) => return Ok(Err(wait)),
        };
        match self.count(vec![shared]).await {
            Ok(Ok(Counted(also))) => {
                counted.0.extend(also);
                Ok(Ok(counted))
            }
            waits_or_fails => {
                self.take_back(counted).await;
                waits_or_fails
            }
        }
    }

    /// Counts a try of the current password by somebody who is signed in.
    ///
    /// # Errors
    /// As [`Self::count_sign_in`].
    pub(super) async fn count_reauthentication(
        &self,
        user: UserId,
    ) -> Result<Result<Counted, Duration>, Failure> {
        let Some(limits) = self.policy.guesses else { return Ok(Ok(Counted(Vec::new()))) };
        self.count(vec![GuessStep { guesser: of_changes(user), limit: limits.account }]).await
    }

    async fn count(&self, steps: Vec<GuessStep>) -> Result<Result<Counted, Duration>, Failure> {
        let outcomes = join_all(steps.iter().map(|step| self.store.guess(step))).await;
        let (mut counted, mut wait, mut failed) = (Vec::new(), None, None);
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(Ok(this)) => counted.push((step, this)),
                Ok(Err(longer)) => wait = wait.max(Some(longer)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let counted = Counted(counted);
        match (failed, wait) {
            (None, None) => Ok(Ok(counted)),
            (failed, wait) => {
                // Who may not try has not tried.
                self.take_back(counted).await;
                failed.map_or(Ok(Err(wait.unwrap_or_default())), |error| Err(error.into()))
            }
        }
    }

    /// Takes a counted try back: it succeeded, or the password was not looked at.
    pub(super) async fn take_back(&self, Counted(steps): Counted) {
        let taking = steps.iter().map(|(step, counted)| self.store.take_back_guess(step, *counted));
        for outcome in join_all(taking).await {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a sign-in that succeeded stays counted as a failure for a while");
            }
        }
    }
}

impl App {
    /// How many failed sign-ins count for this account when somebody has just got in, whose own try has been taken back. To be told
    /// of, nothing depends on it.
    pub(super) async fn failures_before(&self, name: &Username) -> u64 {
        let Some(limits) = self.policy.guesses else { return 0 };
        let now = self.clock.now();
        match self.store.guesses(of_account(name.as_str())).await {
            Ok(Some(seen)) if seen.until > now => limits.account.counting(seen, now),
            Ok(_) => 0,
            Err(error) => {
                tracing::warn!(%error, "how many sign-ins had failed before one that succeeded is not known");
                0
            }
        }
    }
}

/// The failed sign-ins of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// From devices that are not known.
    pub strangers: Failed,
    /// From all devices together that are known.
    pub known_devices: Failed,
}

/// Failed sign-ins that have one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How many count.
    pub counting: u64,
    /// When somebody last tried, if any count.
    pub last: Option<UnixMillis>,
    /// How long the next try has to wait.
    pub wait: Duration,
}

/// The failed sign-ins of a user's account, by this node's clock. Nothing if there is no such user.
///
/// # Errors
/// If the store fails.
pub async fn failures_of(app: &App, user: UserId) -> Result<Option<Failures>, Failure> {
    let Some([strangers, devices, _]) = guessers_of(app, user).await? else { return Ok(None) };
    let (strangers, devices) = join(app.store.guesses(strangers), app.store.guesses(devices)).await;
    let (now, limits) = (app.clock.now(), app.policy.guesses);
    let failed = |seen: Option<Guesses>, times| match (seen.filter(|seen| seen.until > now), limits) {
        (Some(seen), Some(limits)) => {
            let limit = limits.account.times(times);
            let wait = limit.guess(Some(seen), now).err().unwrap_or_default();
            Failed { counting: limit.counting(seen, now), last: Some(seen.last), wait }
        }
        _ => Failed { counting: 0, last: None, wait: Duration::ZERO },
    };
    Ok(Some(Failures { strangers: failed(strangers?, 1), known_devices: failed(devices?, DEVICES) }))
}

/// Forgets the failed sign-ins of a user's account: those of strangers, those of all known devices together, and wrong
/// current passwords in password changes. What a single device has failed goes on counting for that device. Nothing if
/// there is no such user.
///
/// # Errors
/// If the store fails.
pub async fn forget_failures(app: &App, origin: &Origin, user: UserId) -> Result<Option<()>, Failure> {
    let Some(guessers) = guessers_of(app, user).await? else { return Ok(None) };
    forget(app, guessers).await?;
    app.tell_for_certain(origin, &Event::FailuresForgotten { user: Some(user), of: None }).await?;
    Ok(Some(()))
}

/// Forgets the failed sign-ins from an address and from its block, for whatever account.
///
/// # Errors
/// If the store fails.
pub async fn forget_failures_from(app: &App, origin: &Origin, address: IpAddr) -> Result<(), Failure> {
    let places = [false, true].into_iter().filter_map(|is_shared| places(address, is_shared));
    forget(app, places.flat_map(|(address, block)| [address, block])).await?;
    let event = Event::FailuresForgotten { user: None, of: Some(address.to_canonical().to_string()) };
    Ok(app.tell_for_certain(origin, &event).await?)
}

async fn forget(app: &App, guessers: impl IntoIterator<Item = Guesser>) -> Result<(), Failure> {
    for guesser in guessers {
        app.store.forget_guesses(guesser).await?;
    }
    Ok(())
}

impl App {
    /// Forgets the failed sign-ins of an account whose password somebody has set who need not know the one before. The record
    /// of the password's change stands for this as well.
    pub(super) async fn lift_wait(&self, user: UserId) {
        let lifted = async {
            match guessers_of(self, user).await? {
                Some(guessers) => forget(self, guessers).await,
                None => Ok(()),
            }
        };
        if let Err(error) = lifted.await {
            tracing::warn!(%user, %error, "failed sign-ins count on though the password is another one");
        }
    }
}

/// What failures of this user are counted for: the account, all known devices, and password changes. Nothing if there is
/// no such user.
async fn guessers_of(app: &App, user: UserId) -> Result<Option<[Guesser; 3]>, Failure> {
    let Some(found) = credentials(app, user).await? else { return Ok(None) };
    let name = found.user.profile.username.as_str();
    Ok(Some([of_account(name), of_devices(user, found.password_number()), of_changes(user)]))
}

/// The account of this name, as it was parsed or, if it is nobody's name, as it was typed.
fn of_account(name: &str) -> Guesser {
    Guesser::new(GuessKind::Account, name.as_bytes())
}

/// A user who has signed in and changes the password.
fn of_changes(user: UserId) -> Guesser {
    Guesser::new(GuessKind::Reauthentication, user.as_bytes())
}

/// Everybody who comes from no known device.
fn of_strangers() -> Guesser {
    Guesser::new(GuessKind::Strangers, b"")
}

fn of_device(device: &DeviceToken) -> Guesser {
    let name: Vec<u8> = device.user.as_bytes().iter().chain(&device.device).copied().collect();
    Guesser::new(GuessKind::Device, &name)
}

/// All devices that are known by a password: they are others after a change of it.
fn of_devices(user: UserId, password: PasswordNumber) -> Guesser {
    let name: Vec<u8> = user.as_bytes().iter().copied().chain(password.to_bytes()).collect();
    Guesser::new(GuessKind::Devices, &name)
}

/// An address and its block. Of IPv6 a customer has a /64 ([`super::origin::one_caller`]), which counts as one address; blocks are /24 of IPv4 and /48 of IPv6.
fn places(address: IpAddr, is_shared: bool) -> Option<(Guesser, Guesser)> {
    let (mut bytes, mut address, block) = match address.to_canonical() {
        IpAddr::V4(v4) => (v4.octets().to_vec(), 4, 3),
        IpAddr::V6(v6) => (v6.octets().to_vec(), 8, 6),
    };
    if is_shared {
        bytes.insert(0, b'*');
        address += 1;
    }
    Some((
        Guesser::new(GuessKind::Address, bytes.get(..address)?),
        Guesser::new(GuessKind::Block, bytes.get(..block)?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let of = |text: &str| places(text.parse().unwrap(), false).unwrap();
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        let (one, other) = (of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert!(one.0 != other.0 && one.1 == other.1);
        let (one, other) = (of("192.0.2.1"), of("192.0.2.2"));
        assert!(one.0 != other.0 && one.1 == other.1);
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1").1, of("192.0.3.1").1);
    }
}
