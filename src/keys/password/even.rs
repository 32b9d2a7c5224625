//! Refusals that take the same work, whether the account exists or not.

use std::time::Duration;

use relatch_domain::password_rules::Password;
use rustix::time::{ClockId, clock_gettime};

use super::scheme::{Cost, PasswordHash, UnreadableHash};

/// Verifies a password so that a refusal takes the work of `cost`, whether there is a hash or not, and whatever cost
/// lower than that it has (ASVS 6.3.8). A foreign hash is checked against what was typed and against its normal form; where
/// the two differ, every refusal takes that work twice. Only a hash that takes longer shows, until its user signs in and
/// it is made anew.
///
/// # Errors
/// If the hash cannot be read.
pub fn verify_evenly(password: &Password, hash: Option<&str>, cost: Cost) -> Result<bool, UnreadableHash> {
    let forms = if password.typed().as_bytes() == password.as_bytes() { 1 } else { 2 };
    let parsed = hash.map(PasswordHash::parse).transpose();
    let Ok(Some(parsed)) = parsed else {
        for _ in 0..forms {
            spend(cost.get());
        }
        return parsed.map(|_| false);
    };
    let begun = thread_time();
    let candidates = parsed.candidates(password);
    let verified = candidates.iter().any(|bytes| parsed.verify_bytes(bytes));
    if !verified {
        match parsed.cost() {
            Some(own) => {
                // 2^c + 2^c + 2^(c+1) + … + 2^(C-1) = 2^C
                for _ in &candidates {
                    (own.get()..cost.get()).for_each(spend);
                }
                for _ in candidates.len()..forms {
                    spend(cost.get());
                }
            }
            None => fill_up(cost.get(), u32::try_from(forms).unwrap_or(1), begun),
        }
    }
    Ok(verified)
}

/// Adds work of bcrypt to what this thread has done since it had computed for `begun`, until it is as much as that of
/// `hashes` of `cost`, to within a sixteenth of one. How much that is shows the first part of it. Counted is the thread's own
/// time: how long it had to wait for a processor says nothing about the work.
fn fill_up(cost: u32, hashes: u32, begun: Duration) {
    let sixteenth = cost.saturating_sub(4).max(Cost::MIN.get());
    let before = thread_time();
    spend(sixteenth);
    let part = thread_time().saturating_sub(before);
    let whole = part * (1 << (cost - sixteenth)) * hashes;
    while thread_time().saturating_sub(begun) + part <= whole {
        spend(sixteenth);
    }
}

/// How long this thread has computed.
pub(super) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Does the work of one hash, for nobody.
pub(super) fn spend(cost: u32) {
    std::hint::black_box(bcrypt::bcrypt(cost, [0; 16], b"nobody's password"));
}
