//! Which operations were carried out on a user, and which were given up before they were.

use redb::ReadableTable as _;
use relatch_domain::{OperationId, UnixMillis, UserId};

use super::tables::{Failure, Tables};
use crate::store::Settled;

/// How long that is known, in milliseconds: no request is under way for so long.
const KEEPS: u64 = 86_400_000;

/// Notes that an operation is carried out on a user.
///
/// # Errors
/// [`Failure::GivenUp`] if another request has given it up.
pub(super) fn note(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    user: UserId,
    operation: Option<OperationId>,
) -> Result<(), Failure> {
    is_open(tables, user, operation)?;
    operation.map_or(Ok(()), |operation| keep(tables, now, user, operation, true))
}

/// Refuses a step whose operation was given up.
pub(super) fn is_open(
    tables: &Tables<'_>,
    user: UserId,
    operation: Option<OperationId>,
) -> Result<(), Failure> {
    let Some(operation) = operation else { return Ok(()) };
    match tables.operated.get(&key(user, operation))?.map(|kept| kept.value()) {
        Some((_, false)) => Err(Failure::GivenUp),
        _ => Ok(()),
    }
}

/// See [`crate::store::Store::settle_operation`].
pub(super) fn settle(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    user: UserId,
    operation: OperationId,
) -> Result<Settled, Failure> {
    let carried_out = tables.operated.get(&key(user, operation))?.is_some_and(|kept| kept.value().1);
    keep(tables, now, user, operation, carried_out)?;
    Ok(Settled { carried_out, durable: true })
}

fn keep(
    tables: &mut Tables<'_>,
    now: UnixMillis,
    user: UserId,
    operation: OperationId,
    carried_out: bool,
) -> Result<(), Failure> {
    tables.operated.insert(&key(user, operation), (now.0, carried_out))?;
    // There are few: some for each user who was changed within the day.
    let (first, last) =
        (key(user, OperationId::from_bytes([0; 16])), key(user, OperationId::from_bytes([0xff; 16])));
    let counts = |at: u64| now.0.saturating_sub(at) <= KEEPS;
    tables.operated.retain_in::<&[u8; 32], _>(&first..=&last, |_, (at, _)| counts(at))?;
    Ok(())
}

fn key(user: UserId, operation: OperationId) -> [u8; 32] {
    let mut key = [0; 32];
    let (head, tail) = key.split_at_mut(16);
    head.copy_from_slice(user.as_bytes());
    tail.copy_from_slice(operation.as_bytes());
    key
}
