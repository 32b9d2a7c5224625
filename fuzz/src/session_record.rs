//! The packed session record, as somebody might have changed it in the store.

use relatch_domain::UnixMillis;
use relatch_domain::record::{LEN, decode, encode};
use relatch_domain::revocation::end;
use relatch_domain::session::EndReason;

/// What can be read is written the same, its spare bits apart, and can be ended.
pub fn look_at(data: &[u8]) {
    let Ok(record) = decode(data) else { return };
    assert_eq!(data.len(), LEN);
    let again = decode(&encode(&record)).expect("what was just written");
    assert_eq!(again, record);
    if let Some((tombstone, _)) = end(&record, EndReason::RevokedByAdmin, UnixMillis(1_700_000_000_000)) {
        assert!(tombstone.ended.is_some());
        assert_eq!(decode(&encode(&tombstone)), Ok(tombstone));
    }
}
