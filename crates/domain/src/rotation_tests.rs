//! One test for each row of the table of verdicts, and properties over everything that a store may see.

use proptest::prelude::*;

use super::*;
use crate::budget::{Budget, Debt};
use crate::cutoff::Cutoff;
use crate::ids::UserId;
use crate::policy::HealPolicy;
use crate::session::Ended;
use crate::testing;

const NOW: UnixMillis = UnixMillis(1_800_000_000_500);
const BEGAN: UnixMillis = UnixMillis(NOW.0 - 7_200_000);
const THIS: Option<AttemptHash> = Some(AttemptHash::constant([1; 8]));
const OTHER: Option<AttemptHash> = Some(AttemptHash::constant([2; 8]));

fn policy() -> RotationPolicy {
    RotationPolicy::default()
}

/// A session at generation 5 that rotated a minute ago.
fn record() -> SessionRecord {
    let now = NOW.seconds();
    SessionRecord {
        generation: Generation(5),
        nonce: Nonce([5; 8]),
        previous_nonce: Nonce([4; 8]),
        rotated_at: UnixMillis(NOW.0 - 60_000),
        signed_in_at: UnixSeconds(now.0 - 7200),
        ..testing::live_record(now)
    }
}

fn presented(generation: u32, nonce: u8) -> Presented {
    Presented {
        session: SessionRef { user: UserId::from_bytes([1; 16]), session: testing::session_began_at(BEGAN) },
        generation: Generation(generation),
        nonce: Nonce([nonce; 8]),
        issued_at: UnixSeconds(NOW.seconds().0 - 60),
        attempt: None,
        client: ClientNumber::FIRST_PARTY,
        delivery: Delivery::Body,
        thumbprint: None,
    }
}

fn current() -> Presented {
    presented(5, 5)
}

fn previous() -> Presented {
    presented(4, 4)
}

fn seen(record: SessionRecord) -> Seen {
    Seen { session: Some(record), thumbprint: None, user: Standing::Enabled }
}

fn verdict(record: SessionRecord, presented: Presented) -> Verdict {
    judge(&seen(record), &presented, NOW, &policy())
}

fn rotated_ago(millis: u64) -> SessionRecord {
    SessionRecord { rotated_at: UnixMillis(NOW.0 - millis), ..record() }
}

#[test]
fn no_record_is_unknown() {
    let nothing = Seen { session: None, ..seen(record()) };
    assert_eq!(judge(&nothing, &current(), NOW, &policy()), Verdict::Unknown);
}

#[test]
fn a_user_disabled_or_gone_is_refused_before_anything_else() {
    for user in [Standing::Disabled, Standing::Gone] {
        let ended = record().end(EndReason::SignedOut, NOW);
        assert_eq!(judge(&Seen { user, ..seen(ended) }, &current(), NOW, &policy()), Verdict::Disabled);
    }
}

#[test]
fn an_ended_session_is_refused_with_its_reason() {
    let ended = record().end(EndReason::RevokedByAdmin, NOW);
    assert_eq!(verdict(ended, current()), Verdict::Revoked(EndReason::RevokedByAdmin));
}

#[test]
fn a_session_that_began_before_the_cutoff_is_refused_with_its_reason() {
    let cut = |cutoff| judge(&seen(record()), &current(), NOW, &RotationPolicy { cutoff, ..policy() });
    let after = UnixMillis(BEGAN.0 + 1);
    assert_eq!(cut(Cutoff::everyone(after)), Verdict::Revoked(EndReason::SignedInBefore));
    assert_eq!(cut(Cutoff::everyone(BEGAN)), Verdict::Rotate);
    let client = |at| Cutoff { at, reason: EndReason::RevokedByAdmin };
    assert_eq!(cut(client(after)), Verdict::Revoked(EndReason::RevokedByAdmin));
    assert_eq!(cut(client(BEGAN)), Verdict::Rotate);
}

#[test]
fn presented_by_somebody_else_is_a_mismatch() {
    let client = Presented { client: ClientNumber(3), ..current() };
    assert_eq!(verdict(record(), client), Verdict::Mismatch(Mismatch::Client));
    let cookie = Presented { delivery: Delivery::Cookie, ..current() };
    assert_eq!(verdict(record(), cookie), Verdict::Mismatch(Mismatch::Delivery));
    let with_key = Presented { thumbprint: Some(Thumbprint([1; 32])), ..current() };
    assert_eq!(verdict(record(), with_key), Verdict::Mismatch(Mismatch::Key));
}

#[test]
fn a_bound_session_wants_its_own_key() {
    let bound = Seen {
        thumbprint: Some(Thumbprint([1; 32])),
        ..seen(SessionRecord { dpop_bound: true, ..record() })
    };
    let by = |thumbprint| judge(&bound, &Presented { thumbprint, ..current() }, NOW, &policy());
    assert_eq!(by(Some(Thumbprint([1; 32]))), Verdict::Rotate);
    assert_eq!(by(Some(Thumbprint([2; 32]))), Verdict::Mismatch(Mismatch::Key));
    assert_eq!(by(None), Verdict::Mismatch(Mismatch::Key));

    let lost = Seen { thumbprint: None, ..bound };
    assert_eq!(judge(&lost, &current(), NOW, &policy()), Verdict::Mismatch(Mismatch::Key));
}

#[test]
fn past_a_deadline_is_expired() {
    let over = NOW.seconds();
    let idle = SessionRecord { idle_deadline: over, ..record() };
    assert_eq!(verdict(idle, current()), Verdict::Expired(Deadline::Idle));
    assert_eq!(verdict(idle, previous()), Verdict::Expired(Deadline::Idle));
    let absolute = SessionRecord { absolute_deadline: over, ..idle };
    assert_eq!(verdict(absolute, current()), Verdict::Expired(Deadline::Absolute));
    let not_yet = SessionRecord { idle_deadline: UnixSeconds(over.0 + 1), ..record() };
    assert_eq!(verdict(not_yet, current()), Verdict::Rotate);
}

#[test]
fn a_token_ahead_of_the_record_counts_its_idle_time_from_its_own_issue() {
    let stale = SessionRecord { idle_deadline: UnixSeconds(1), rotated_at: UnixMillis(1), ..record() };
    assert_eq!(verdict(stale, presented(7, 9)), Verdict::Heal);
    let idle_ttl = u32::try_from(policy().idle_ttl.as_secs()).unwrap();
    let old = Presented { issued_at: UnixSeconds(NOW.seconds().0 - idle_ttl), ..presented(7, 9) };
    assert_eq!(verdict(stale, old), Verdict::Expired(Deadline::Idle));
}

#[test]
fn the_current_token_rotates() {
    assert_eq!(verdict(record(), current()), Verdict::Rotate);
    assert_eq!(verdict(record(), Presented { attempt: THIS, ..current() }), Verdict::Rotate);
}

#[test]
fn one_attempt_key_for_everything_is_noticed() {
    let with_key = SessionRecord { attempt: THIS, ..record() };
    assert_eq!(verdict(with_key, Presented { attempt: THIS, ..current() }), Verdict::AttemptKeyReused);
    assert_eq!(verdict(with_key, Presented { attempt: OTHER, ..current() }), Verdict::Rotate);
    assert_eq!(verdict(with_key, current()), Verdict::Rotate);
}

#[test]
fn a_spent_budget_throttles_the_current_token_only() {
    let policy = RotationPolicy { budget: Budget::new(Duration::from_mins(1), 2).unwrap(), ..policy() };
    let spent = seen(SessionRecord { debt: Debt(1200), rotated_at: NOW, ..record() });
    assert_eq!(judge(&spent, &current(), NOW, &policy), Verdict::Throttled(Duration::from_mins(1)));
    let stolen = presented(3, 3);
    assert_eq!(judge(&spent, &stolen, NOW, &policy), Verdict::Reuse);
}

#[test]
fn the_previous_token_with_the_rotations_attempt_key_is_a_retry_at_any_time() {
    let long_ago = SessionRecord { attempt: THIS, ..rotated_ago(3_000_000) };
    assert_eq!(verdict(long_ago, Presented { attempt: THIS, ..previous() }), Verdict::Retry);
}

#[test]
fn the_previous_token_of_a_bound_session_is_a_retry_at_any_time() {
    let thumbprint = Some(Thumbprint([1; 32]));
    for attempt in [None, THIS, OTHER] {
        let record = SessionRecord { dpop_bound: true, attempt: THIS, ..rotated_ago(3_000_000) };
        let seen = Seen { thumbprint, ..seen(record) };
        let presented = Presented { attempt, thumbprint, ..previous() };
        assert_eq!(judge(&seen, &presented, NOW, &policy()), Verdict::Retry);
    }
}

#[test]
fn without_attempt_keys_the_previous_token_is_a_retry_within_grace() {
    assert_eq!(verdict(rotated_ago(9_999), previous()), Verdict::Retry);
    assert_eq!(verdict(rotated_ago(10_000), previous()), Verdict::Reuse);
    let strict = RotationPolicy { grace: Duration::ZERO, ..policy() };
    assert_eq!(judge(&seen(rotated_ago(0)), &previous(), NOW, &strict), Verdict::Reuse);
}

#[test]
fn a_clock_that_went_back_is_within_grace() {
    let ahead = SessionRecord { rotated_at: UnixMillis(NOW.0 + 5_000), ..record() };
    assert_eq!(verdict(ahead, previous()), Verdict::Retry);
}

#[test]
fn other_attempt_keys_are_superseded_within_grace_and_reuse_after_it() {
    for (rotations, this) in [(THIS, OTHER), (THIS, None), (None, THIS)] {
        let by = |ago| {
            let record = SessionRecord { attempt: rotations, ..rotated_ago(ago) };
            verdict(record, Presented { attempt: this, ..previous() })
        };
        assert_eq!(by(9_999), Verdict::Superseded);
        assert_eq!(by(10_000), Verdict::Reuse);
    }
}

#[test]
fn a_token_ahead_of_the_record_heals_it() {
    assert_eq!(verdict(record(), presented(5, 9)), Verdict::Heal);
    assert_eq!(verdict(record(), presented(6, 9)), Verdict::Heal);
    assert_eq!(verdict(record(), presented(5 + 1024, 9)), Verdict::Heal);
}

#[test]
fn a_token_too_far_ahead_is_unknown() {
    assert_eq!(verdict(record(), presented(5 + 1025, 9)), Verdict::Unknown);
    let old = Presented { issued_at: UnixSeconds(NOW.seconds().0 - 3600), ..presented(5 + 1025, 9) };
    assert_eq!(verdict(record(), old), Verdict::Unknown);
}

#[test]
fn a_token_ahead_but_older_than_the_last_rotation_is_reuse() {
    let rotated = record().rotated_at.seconds();
    let issued = |before: u32| Presented { issued_at: UnixSeconds(rotated.0 - before), ..presented(6, 9) };
    assert_eq!(verdict(record(), issued(120)), Verdict::Heal);
    assert_eq!(verdict(record(), issued(121)), Verdict::Reuse);
}

/// Of the deadline of the record and that of the policy the earlier one counts, to the second.
#[test]
fn lowered_lifetimes_count_from_the_sign_in_and_from_the_last_rotation() {
    const LONG: u64 = 400 * 86_400;
    let by = |idle: u64, absolute: u64| {
        let (idle_ttl, absolute_ttl) = (Duration::from_secs(idle), Duration::from_secs(absolute));
        let lowered = RotationPolicy { idle_ttl, absolute_ttl, ..policy() };
        let verdict = judge(&seen(record()), &current(), NOW, &lowered);
        assert_eq!(guards_hold(&seen(record()), &current(), NOW, &lowered), verdict == Verdict::Rotate);
        verdict
    };
    assert_eq!(by(60, LONG), Verdict::Rotate, "a minute and the fraction of a second are not over yet");
    assert_eq!(by(59, LONG), Verdict::Expired(Deadline::Idle));
    assert_eq!(by(LONG, 7200), Verdict::Rotate);
    assert_eq!(by(LONG, 7199), Verdict::Expired(Deadline::Absolute));
    let raised = RotationPolicy {
        idle_ttl: Duration::from_secs(LONG),
        absolute_ttl: Duration::from_secs(LONG),
        ..policy()
    };
    assert_eq!(record().bounded_by(&raised), record(), "raised ones change nothing");
}

#[test]
fn an_idle_deadline_does_not_move_back_with_the_clock() {
    let policy = RotationPolicy { idle_ttl: Duration::from_hours(1), ..policy() };
    let rotate = |record: SessionRecord, now| {
        let fresh = Fresh { nonce: Nonce([9; 8]), mac_key: MacKeyId(1), origin: OriginTag(9) };
        next(&record, &current(), &fresh, now, &policy)
    };
    let far = UnixSeconds(NOW.seconds().0 + 90 * 86_400);
    let first = rotate(SessionRecord { absolute_deadline: far, idle_deadline: far, ..record() }, NOW);
    assert_eq!(first.idle_deadline, UnixSeconds(NOW.seconds().0 + 3601));
    let mut later = first;
    for _ in 0..5 {
        later = rotate(later, UnixMillis(NOW.0 - 5_400_000));
        assert_eq!((later.idle_deadline, later.idle_ahead), (first.idle_deadline, 2));
        assert_eq!(later.bounded_by(&policy), later);
    }
    let lowered = RotationPolicy { idle_ttl: Duration::from_mins(10), ..policy };
    let bounded = later.bounded_by(&lowered).idle_deadline.0;
    assert!(
        (NOW.seconds().0 + 600..NOW.seconds().0 + 600 + 1802).contains(&bounded),
        "to the hour: {bounded}"
    );
    let caught_up = rotate(later, UnixMillis(NOW.0 + 60_000));
    assert_eq!((caught_up.idle_deadline.0, caught_up.idle_ahead), (first.idle_deadline.0 + 60, 0));
    let absolute = SessionRecord { absolute_deadline: UnixSeconds(NOW.seconds().0 + 1800), ..later };
    assert_eq!(rotate(absolute, NOW).idle_deadline, absolute.absolute_deadline);
}

#[test]
fn anything_else_that_is_genuine_is_reuse() {
    for (generation, nonce) in [(0, 0), (3, 3), (4, 9), (3, 4), (4, 5)] {
        assert_eq!(verdict(record(), presented(generation, nonce)), Verdict::Reuse, "{generation} {nonce}");
    }
}

#[test]
fn at_generation_zero_there_is_no_previous_token() {
    let first = SessionRecord { generation: Generation(0), ..record() };
    assert_eq!(verdict(first, presented(u32::MAX, 4)), Verdict::Unknown);
}

prop_compose! {
    fn any_presented()(
        (generation, nonce) in (0_u32..9, testing::nonce()),
        issued_at in testing::seconds(),
        attempt in testing::attempt(),
        client in 0_u16..2,
        delivery in testing::delivery(),
        (thumbprint, session) in (testing::thumbprint(), testing::session_id()),
    ) -> Presented {
        Presented {
            session: SessionRef { session, ..current().session },
            generation: Generation(generation),
            nonce,
            issued_at,
            attempt,
            client: ClientNumber(client),
            delivery,
            thumbprint,
        }
    }
}

prop_compose! {
    fn any_policy()(
        idle in 1_u64..400_000,
        grace in prop_oneof![Just(0_u64), 1_u64..20_000],
        (slack, max_ahead) in (0_u64..300, 0_u32..4),
        budget in proptest::option::of((1_u64..10, 1_u16..5)),
        cutoff in proptest::option::weighted(0.2, testing::sessions_at()),
    ) -> RotationPolicy {
        RotationPolicy {
            idle_ttl: Duration::from_secs(idle),
            absolute_ttl: Duration::from_secs(idle * 2),
            grace: Duration::from_millis(grace),
            heal: HealPolicy { slack: Duration::from_secs(slack), max_ahead },
            budget: budget.map_or(Budget::UNLIMITED, |(seconds, burst)| {
                Budget::new(Duration::from_secs(seconds), burst).unwrap()
            }),
            cutoff: Cutoff::everyone(cutoff.unwrap_or_default()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// The short form that stores check is the same rule as the long one.
    #[test]
    fn the_guards_hold_exactly_when_the_verdict_is_rotate(
        seen in testing::seen(), presented in any_presented(), now in testing::sessions_at(), policy in any_policy(),
        make_current in any::<bool>(),
    ) {
        let mut presented = presented;
        if let (true, Some(record)) = (make_current, &seen.session) {
            presented.generation = record.generation;
            presented.nonce = record.nonce;
        }
        let verdict = judge(&seen, &presented, now, &policy);
        prop_assert_eq!(guards_hold(&seen, &presented, now, &policy), verdict == Verdict::Rotate);
    }

    /// Only live sessions of enabled users, presented by the right party, lead to a token.
    #[test]
    fn nothing_is_minted_for_the_dead_or_the_wrong_party(
        seen in testing::seen(), presented in any_presented(), now in testing::sessions_at(), policy in any_policy(),
    ) {
        let verdict = judge(&seen, &presented, now, &policy);
        if matches!(verdict, Verdict::Rotate | Verdict::Retry | Verdict::Heal) {
            let record = seen.session.unwrap();
            prop_assert_eq!(seen.user, Standing::Enabled);
            prop_assert!(record.ended.is_none() && presented.session.session.began_at() >= policy.cutoff.at);
            let record = record.bounded_by(&policy);
            prop_assert!(!record.absolute_deadline.is_over(now));
            prop_assert_eq!(record.delivery, presented.delivery);
            prop_assert_eq!(record.client, presented.client);
            prop_assert!(!record.dpop_bound || presented.thumbprint == seen.thumbprint);
        }
    }

    /// After a rotation the presented token is the previous one, and presenting it again with the same attempt key
    /// is a retry; the new token is the current one.
    #[test]
    fn a_rotation_can_be_retried_and_goes_on(
        seen in testing::seen(), presented in any_presented(), now in testing::sessions_at(), policy in any_policy(),
        fresh_nonce in 100_u8..200,
    ) {
        let verdict = judge(&seen, &presented, now, &policy);
        if let (Verdict::Rotate | Verdict::Heal, Some(record)) = (verdict, seen.session) {
            let fresh = Fresh { nonce: Nonce([fresh_nonce; 8]), mac_key: MacKeyId(1), origin: OriginTag(9) };
            let rotated = next(&record, &presented, &fresh, now, &policy);
            let after = Seen { session: Some(rotated), ..seen };
            prop_assert!(rotated.generation > record.generation);
            prop_assert!(rotated.idle_deadline <= rotated.absolute_deadline);
            let bounded = record.bounded_by(&policy);
            prop_assert_eq!(rotated.absolute_deadline, bounded.absolute_deadline);
            prop_assert!(rotated.idle_deadline >= bounded.idle_deadline);
            if rotated.idle_ahead < SessionRecord::MOST_AHEAD {
                prop_assert_eq!(rotated.bounded_by(&policy), rotated);
            }
            let again = judge(&after, &presented, now, &policy);
            if presented.attempt.is_some() || record.dpop_bound || policy.grace > Duration::ZERO {
                prop_assert_eq!(again, Verdict::Retry);
            } else {
                prop_assert_eq!(again, Verdict::Reuse);
            }
            let token = RefreshToken::current(presented.session, &rotated);
            let successor = Presented {
                generation: token.generation, nonce: token.nonce, issued_at: token.issued_at, ..presented
            };
            let successor = Presented { attempt: None, ..successor };
            prop_assert!(matches!(
                judge(&after, &successor, now, &policy), Verdict::Rotate | Verdict::Throttled(_)
            ));
        }
    }

    /// An end is final: no token gets past it.
    #[test]
    fn an_ended_session_never_mints(
        record in testing::record(), presented in any_presented(), now in testing::sessions_at(), policy in any_policy(),
        reason in testing::reason(),
    ) {
        let ended = SessionRecord { ended: Some(Ended { reason, at: UnixSeconds(1) }), ..record };
        let seen = Seen { session: Some(ended), thumbprint: None, user: Standing::Enabled };
        prop_assert_eq!(judge(&seen, &presented, now, &policy), Verdict::Revoked(reason));
    }
}
