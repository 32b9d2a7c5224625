//! A sign-in: the first record of a session, and the room that is made for it among the user's other sessions.

use crate::budget::Debt;
use crate::ids::{ClientNumber, Generation, MacKeyId, Nonce, OriginTag, SessionId};
use crate::policy::{RotationPolicy, SessionLimits};
use crate::session::{Authentication, Delivery, EndReason, SessionRecord};
use crate::time::{UnixMillis, UnixSeconds};

/// What a sign-in brings with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSession {
    /// Nonce of the first refresh token.
    pub nonce: Nonce,
    /// MAC key of the first refresh token.
    pub mac_key: MacKeyId,
    /// How tokens reach the client.
    pub delivery: Delivery,
    /// How the user signed in.
    pub authentication: Authentication,
    /// The OAuth client.
    pub client: ClientNumber,
    /// Whether the session is bound to a `DPoP` key.
    pub dpop_bound: bool,
    /// Where the request came from.
    pub origin: OriginTag,
}

/// The record of a session that begins at `now`.
pub fn first_record(new: &NewSession, now: UnixMillis, policy: &RotationPolicy) -> SessionRecord {
    let absolute_deadline = now.seconds_up().plus(policy.absolute_ttl);
    SessionRecord {
        generation: Generation(0),
        nonce: new.nonce,
        previous_nonce: Nonce::default(),
        mac_key: new.mac_key,
        attempt: None,
        rotated_at: now,
        idle_ahead: 0,
        signed_in_at: now.seconds(),
        idle_deadline: policy.idle_deadline(now, absolute_deadline),
        absolute_deadline,
        ended: None,
        delivery: new.delivery,
        authentication: new.authentication,
        dpop_bound: new.dpop_bound,
        client: new.client,
        debt: Debt::default(),
        origin: new.origin,
    }
}

/// What happens to an existing session when another one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its record is removed: it is dead, and was remembered long enough.
    Forget,
    /// The new session takes its place: it becomes this tombstone.
    Replace(SessionRecord),
}

/// Makes room for one more session: which existing ones change, and how.
///
/// Dead sessions are forgotten when they were remembered long enough; of more than `max_tombstones` dead ones those
/// that died first go. Of live sessions the least recently used ones are replaced, so that with the new one there
/// are at most `max_live`. The `earlier` session of the same browser is replaced whether there is room or not, and
/// before any other: nobody else loses a session for one that ends anyway.
pub fn make_room(
    existing: &[(SessionId, SessionRecord)],
    earlier: Option<SessionId>,
    now: UnixMillis,
    limits: &SessionLimits,
) -> Vec<(SessionId, Change)> {
    let (mut live, mut dead): (Vec<_>, Vec<_>) =
        existing.iter().copied().partition(|(_, record)| record.is_live(now));
    let mut changes = Vec::new();

    let is_earlier = |id: SessionId| earlier == Some(id);
    live.sort_by_key(|(id, record)| (!is_earlier(*id), record.rotated_at, *id));
    let surplus = (live.len() + 1).saturating_sub(limits.max_live.max(1));
    let at_least = usize::from(live.iter().any(|(id, _)| is_earlier(*id)));
    let replaced: Vec<_> = live
        .iter()
        .take(surplus.max(at_least))
        .map(|(id, record)| (*id, record.end(EndReason::Replaced, now)))
        .collect();

    dead.retain(|(id, record)| {
        let remembered = !died_at(record).plus(limits.tombstone_ttl).is_over(now);
        if !remembered {
            changes.push((*id, Change::Forget));
        }
        remembered
    });
    dead.sort_by_key(|(id, record)| (died_at(record), *id));
    let too_many = (dead.len() + replaced.len()).saturating_sub(limits.max_tombstones);
    changes.extend(dead.iter().take(too_many).map(|(id, _)| (*id, Change::Forget)));
    changes.extend(replaced.into_iter().map(|(id, record)| (id, Change::Replace(record))));
    changes
}

/// How many sessions could begin besides the new one before one more would have to be replaced: as many others may
/// begin between the reading of `existing` and the new session's beginning. The `earlier` session of the same browser
/// is replaced anyway and takes no room.
pub fn spare_room(
    existing: &[(SessionId, SessionRecord)],
    earlier: Option<SessionId>,
    now: UnixMillis,
    limits: &SessionLimits,
) -> usize {
    let stays = |id: &SessionId, record: &SessionRecord| record.is_live(now) && earlier != Some(*id);
    let live = existing.iter().filter(|(id, record)| stays(id, record)).count();
    limits.max_live.saturating_sub(live + 1)
}

/// When a session that is not live any more died.
fn died_at(record: &SessionRecord) -> UnixSeconds {
    let deadline = record.idle_deadline.min(record.absolute_deadline);
    record.ended.map_or(deadline, |ended| ended.at.min(deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{record, sessions_at};
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    fn after(
        existing: &[(SessionId, SessionRecord)],
        changes: &[(SessionId, Change)],
    ) -> Vec<(SessionId, SessionRecord)> {
        let change_of =
            |id: &SessionId| changes.iter().find(|(other, _)| other == id).map(|(_, change)| *change);
        existing
            .iter()
            .filter_map(|(id, record)| match change_of(id) {
                Some(Change::Forget) => None,
                Some(Change::Replace(tombstone)) => Some((*id, tombstone)),
                None => Some((*id, *record)),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn there_is_room_and_nobody_goes_without_need(
            existing in btree_map(any::<[u8; 16]>(), record(), 0..12),
            now in sessions_at(),
            earlier in proptest::option::of(any::<prop::sample::Index>()),
            max_live in 1_usize..6,
            max_tombstones in 0_usize..6,
        ) {
            let limits = SessionLimits { max_live, max_tombstones, ..SessionLimits::default() };
            let existing: Vec<_> =
                existing.into_iter().map(|(id, record)| (SessionId::from_bytes(id), record)).collect();
            let earlier = earlier.filter(|_| !existing.is_empty()).map(|index| index.get(&existing).0);
            let changes = make_room(&existing, earlier, now, &limits);
            let left = after(&existing, &changes);
            let is_earlier = |id: &SessionId| earlier == Some(*id);

            let live = |sessions: &[(SessionId, SessionRecord)]| {
                sessions.iter().filter(|(_, record)| record.is_live(now)).count()
            };
            let others = existing.iter().filter(|(id, record)| record.is_live(now) && !is_earlier(id)).count();
            prop_assert_eq!(live(&left), others.min(max_live - 1));
            let replaced = changes.iter().filter(|(_, change)| matches!(change, Change::Replace(_))).count();
            prop_assert_eq!(left.len() - live(&left), {
                let remembered = existing.iter().filter(|(_, record)| {
                    !record.is_live(now) && !died_at(record).plus(limits.tombstone_ttl).is_over(now)
                }).count();
                (remembered + replaced).min(max_tombstones.max(replaced))
            });

            // As many as there is room for besides the new one, and not one more.
            let spare = spare_room(&existing, earlier, now, &limits);
            prop_assert_eq!(live(&left) + 1 + spare, max_live);

            // Whoever was replaced was used before everyone who stays, the earlier session apart, which never stays.
            prop_assert!(left.iter().all(|(id, record)| !(is_earlier(id) && record.is_live(now))));
            let last_replaced = changes.iter().filter_map(|(id, change)| match change {
                Change::Replace(tombstone) if !is_earlier(id) => Some(tombstone.rotated_at),
                _ => None,
            }).max();
            if let Some(last) = last_replaced {
                for (_, record) in left.iter().filter(|(_, record)| record.is_live(now)) {
                    prop_assert!(record.rotated_at >= last);
                }
            }
        }

        #[test]
        fn a_first_record_is_live_and_never_outlives_its_absolute_deadline(
            now in sessions_at(), idle in 1_u64..1_000_000, absolute in 1_u64..1_000_000,
        ) {
            let policy = RotationPolicy {
                idle_ttl: std::time::Duration::from_secs(idle),
                absolute_ttl: std::time::Duration::from_secs(absolute),
                ..RotationPolicy::default()
            };
            let new = NewSession {
                nonce: Nonce([1; 8]),
                mac_key: MacKeyId(1),
                delivery: Delivery::Body,
                authentication: Authentication::Password,
                client: ClientNumber::FIRST_PARTY,
                dpop_bound: false,
                origin: OriginTag(0),
            };
            let record = first_record(&new, now, &policy);
            prop_assert!(record.is_live(now));
            prop_assert!(record.idle_deadline <= record.absolute_deadline);
        }
    }
}
