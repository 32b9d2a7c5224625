//! The rule under test: the domain's functions, or the same with one fault planted.

use relatch_domain::ids::{Generation, Nonce};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::rotation::{self, Fresh, Presented, Verdict};
use relatch_domain::session::{Seen, SessionRecord};
use relatch_domain::successor;
use relatch_domain::time::{UnixMillis, UnixSeconds};

/// What the model asks.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) guards_hold: fn(&Seen, &Presented, UnixMillis, &RotationPolicy) -> bool,
    pub(super) judge: fn(&Seen, &Presented, UnixMillis, &RotationPolicy) -> Verdict,
    pub(super) nonce: fn(&Presented, Nonce) -> Nonce,
    pub(super) next: fn(&SessionRecord, &Presented, &Fresh, UnixMillis, &RotationPolicy) -> SessionRecord,
}

impl Rule {
    /// The rule as it is.
    pub(super) const TRUE: Self = Self {
        guards_hold: rotation::guards_hold,
        judge: rotation::judge,
        nonce: successor::nonce,
        next: rotation::next,
    };

    /// Planted: within `grace` the previous token mints a sibling of the current one.
    pub(super) const GRACE_MINTS_A_SIBLING: Self = Self { judge: grace_mints_a_sibling, ..Self::TRUE };
    /// Planted: a token ahead of the record heals it although the session has ended.
    pub(super) const HEALS_PAST_A_TOMBSTONE: Self =
        Self { judge: heals_past_a_tombstone, next: forgets_the_end, ..Self::TRUE };
    /// Planted: a token behind the record is taken for one ahead of it.
    pub(super) const NO_GENERATION_CHECK: Self = Self { judge: no_generation_check, ..Self::TRUE };
    /// Planted: who comes too late gets the current token all the same.
    pub(super) const SUPERSEDED_MINTS: Self = Self { judge: superseded_mints, ..Self::TRUE };
    /// Planted: a token ahead of the record heals it, whenever it was issued.
    pub(super) const HEALS_AT_ANY_AGE: Self = Self { judge: heals_at_any_age, ..Self::TRUE };
    /// Not the rule, and not planted either, but how it was once: every successor's nonce is random.
    pub(super) const RANDOM_SUCCESSORS: Self = Self { nonce: |_, random| random, ..Self::TRUE };
}

fn grace_mints_a_sibling(
    seen: &Seen,
    presented: &Presented,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Verdict {
    match rotation::judge(seen, presented, now, policy) {
        // The record's own writes: another token of the record's generation becomes the current one.
        Verdict::Retry if presented.attempt.is_none() && presented.thumbprint.is_none() => Verdict::Heal,
        verdict => verdict,
    }
}

fn heals_past_a_tombstone(
    seen: &Seen,
    presented: &Presented,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Verdict {
    let verdict = rotation::judge(seen, presented, now, policy);
    let live = Seen { session: seen.session.map(|record| SessionRecord { ended: None, ..record }), ..*seen };
    match (verdict, rotation::judge(&live, presented, now, policy)) {
        (Verdict::Revoked(_), Verdict::Heal) => Verdict::Heal,
        _ => verdict,
    }
}

fn forgets_the_end(
    record: &SessionRecord,
    presented: &Presented,
    fresh: &Fresh,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> SessionRecord {
    SessionRecord { ended: None, ..rotation::next(record, presented, fresh, now, policy) }
}

fn no_generation_check(
    seen: &Seen,
    presented: &Presented,
    now: UnixMillis,
    policy: &RotationPolicy,
) -> Verdict {
    let generation = seen.session.map_or(Generation(0), |record| record.generation);
    match rotation::judge(seen, presented, now, policy) {
        Verdict::Reuse if !presented.generation.is_just_before(generation) => {
            rotation::judge(seen, &Presented { generation, ..*presented }, now, policy)
        }
        verdict => verdict,
    }
}

fn superseded_mints(seen: &Seen, presented: &Presented, now: UnixMillis, policy: &RotationPolicy) -> Verdict {
    match rotation::judge(seen, presented, now, policy) {
        Verdict::Superseded => Verdict::Retry,
        verdict => verdict,
    }
}

fn heals_at_any_age(seen: &Seen, presented: &Presented, now: UnixMillis, policy: &RotationPolicy) -> Verdict {
    let ahead = seen.session.is_some_and(|record| presented.generation >= record.generation);
    match rotation::judge(seen, presented, now, policy) {
        Verdict::Reuse if ahead => {
            rotation::judge(seen, &Presented { issued_at: UnixSeconds(u32::MAX), ..*presented }, now, policy)
        }
        verdict => verdict,
    }
}
