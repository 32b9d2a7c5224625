//! Strategies for property tests, here and in the crates that build on this one (feature `testing`).

use proptest::option;
use proptest::prelude::*;

use crate::attempt::AttemptHash;
use crate::attributes::{AttributeValue, Attributes};
use crate::budget::Debt;
use crate::ids::{ClientNumber, Generation, MacKeyId, Nonce, OriginTag, SessionId, Thumbprint};
use crate::session::{Authentication, Delivery, EndReason, Ended, Seen, SessionRecord, Standing};
use crate::time::{UnixMillis, UnixSeconds};

/// A second around which the strategies let everything happen, so that deadlines and ages matter.
pub const AROUND: u32 = 1_800_000_000;

/// Points in time close to [`AROUND`].
pub fn sessions_at() -> impl Strategy<Value = UnixMillis> {
    let around = u64::from(AROUND) * 1000;
    prop_oneof![around - 2_000..around + 2_000, around - 400_000_000..around + 400_000_000]
        .prop_map(UnixMillis)
}

/// A session that began then. Two of the same time are the same.
pub fn session_began_at(at: UnixMillis) -> SessionId {
    let mut id = [0x70; 16];
    let (time, rest) = id.split_at_mut(6);
    time.iter_mut().zip(at.0.to_be_bytes().iter().skip(2)).for_each(|(to, from)| *to = *from);
    if let [_, _, variant, ..] = rest {
        *variant = 0x80;
    }
    SessionId::from_bytes(id)
}

/// A session that began close to [`AROUND`].
pub fn session_id() -> impl Strategy<Value = SessionId> {
    sessions_at().prop_map(session_began_at)
}

/// Seconds close to [`AROUND`].
pub fn seconds() -> impl Strategy<Value = UnixSeconds> {
    sessions_at().prop_map(UnixMillis::seconds)
}

/// One of three nonces, so that equal ones are common.
pub fn nonce() -> impl Strategy<Value = Nonce> {
    (0_u8..3).prop_map(|byte| Nonce([byte; 8]))
}

/// None or one of two attempt hashes.
pub fn attempt() -> impl Strategy<Value = Option<AttemptHash>> {
    (0_u8..3).prop_map(|byte| AttemptHash::from_bytes([byte; 8]))
}

/// None or one of two thumbprints.
pub fn thumbprint() -> impl Strategy<Value = Option<Thumbprint>> {
    option::weighted(0.3, (0_u8..2).prop_map(|byte| Thumbprint([byte; 32])))
}

/// Any way of delivery, most often in the body.
pub fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![4 => Just(Delivery::Body), 1 => Just(Delivery::Hybrid), 1 => Just(Delivery::Cookie)]
}

/// Any reason of an end.
pub fn reason() -> impl Strategy<Value = EndReason> {
    prop_oneof![
        Just(EndReason::SignedOut),
        Just(EndReason::RevokedByUser),
        Just(EndReason::RevokedByAdmin),
        Just(EndReason::PasswordChanged),
        Just(EndReason::Reuse),
        Just(EndReason::Replaced),
        Just(EndReason::SignedInBefore),
        Just(EndReason::UserDisabled),
    ]
}

prop_compose! {
    /// Any record a store may hold.
    pub fn record()(
        (generation, nonce, previous_nonce, mac_key) in (0_u32..6, nonce(), nonce(), 0_u8..2),
        attempt in attempt(),
        (rotated_at, idle_ahead) in (sessions_at(), prop_oneof![9 => Just(0), 1 => 0..=SessionRecord::MOST_AHEAD]),
        (signed_in_at, idle_deadline, absolute_deadline) in (seconds(), seconds(), seconds()),
        ended in option::weighted(0.2, (reason(), seconds())),
        delivery in delivery(),
        (dpop_bound, client, debt, origin) in (proptest::bool::weighted(0.2), 0_u16..2, 0_u16..100, any::<u32>()),
    ) -> SessionRecord {
        SessionRecord {
            generation: Generation(generation),
            nonce,
            previous_nonce,
            mac_key: MacKeyId(mac_key),
            attempt,
            rotated_at,
            idle_ahead,
            signed_in_at,
            idle_deadline,
            absolute_deadline,
            ended: ended.map(|(reason, at)| Ended { reason, at }),
            delivery,
            authentication: Authentication::Password,
            dpop_bound,
            client: ClientNumber(client),
            debt: Debt(debt),
            origin: OriginTag(origin),
        }
    }
}

prop_compose! {
    /// Anything that a store may see when a refresh comes by.
    pub fn seen()(
        session in option::weighted(0.95, record()),
        thumbprint in thumbprint(),
        user in prop_oneof![9 => Just(Standing::Enabled), 1 => Just(Standing::Disabled), 1 => Just(Standing::Gone)],
    ) -> Seen {
        Seen { session, thumbprint, user }
    }
}

/// A session that was just signed in: generation 0, live for an hour.
pub fn live_record(now: UnixSeconds) -> SessionRecord {
    SessionRecord {
        generation: Generation(0),
        nonce: Nonce([7; 8]),
        previous_nonce: Nonce::default(),
        mac_key: MacKeyId(1),
        attempt: None,
        rotated_at: now.millis(),
        idle_ahead: 0,
        signed_in_at: now,
        idle_deadline: UnixSeconds(now.0 + 3600),
        absolute_deadline: UnixSeconds(now.0 + 3600),
        ended: None,
        delivery: Delivery::Body,
        authentication: Authentication::Password,
        dpop_bound: false,
        client: ClientNumber::FIRST_PARTY,
        debt: Debt::default(),
        origin: OriginTag::default(),
    }
}

/// An attribute's value.
pub fn attribute_value() -> impl Strategy<Value = AttributeValue> {
    const SAFE: i64 = (1 << 53) - 1;
    prop_oneof![
        any::<bool>().prop_map(AttributeValue::Flag),
        (-SAFE..=SAFE).prop_map(AttributeValue::Number),
        "\\PC{0,40}".prop_map(AttributeValue::Text),
        proptest::collection::vec("[a-z\"\\\\\u{1}é]{0,8}", 0..4).prop_map(AttributeValue::List),
    ]
}

/// Attributes with names that occur often.
pub fn attributes() -> impl Strategy<Value = Attributes> {
    proptest::collection::btree_map("[a-d]|[A-Za-z0-9_.:-]{1,64}", attribute_value(), 0..8)
        .prop_filter_map("too long", |attributes| attributes.try_into().ok())
}
