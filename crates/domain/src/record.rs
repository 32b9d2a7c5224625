//! The packed form of a session's hot record: 64 bytes, so that Redis keeps it in a listpack by default.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 1 | version of this layout: 1 |
//! | 1 | 1 | flags: bit 0 ended, bits 1 and 2 delivery, bit 3 bound by `DPoP`, bits 4 to 7 authentication |
//! | 2 | 1 | reason code of the end |
//! | 3 | 1 | id of the current token's MAC key |
//! | 4 | 4 | generation |
//! | 8 | 8 | current nonce |
//! | 16 | 8 | previous nonce |
//! | 24 | 8 | hash of the attempt key, zero for none |
//! | 32 | 6 | last rotation: hours from there to the one from which the idle deadline counts, 6 bits; milliseconds, 42 bits |
//! | 38 | 4 | signed in, seconds |
//! | 42 | 4 | idle deadline, seconds |
//! | 46 | 4 | absolute deadline, seconds |
//! | 50 | 4 | ended, seconds |
//! | 54 | 2 | client number |
//! | 56 | 2 | debt of the refresh budget, tenths of a second |
//! | 58 | 4 | origin tag |
//! | 62 | 2 | spare: written as zero, ignored when read |
//!
//! Integers are big-endian. The scripts in `store/redis` read and write the same offsets.

use crate::attempt::AttemptHash;
use crate::budget::Debt;
use crate::bytes::fill;
use crate::ids::{ClientNumber, Generation, MacKeyId, Nonce, OriginTag};
use crate::session::{Authentication, Delivery, EndReason, Ended, SessionRecord};
use crate::time::{UnixMillis, UnixSeconds};

/// Bytes of a packed record.
pub const LEN: usize = 64;
/// The layout that this code writes.
pub const VERSION: u8 = 1;

/// The last point in time that 42 bits can hold, in the year 2109.
const LAST_ROTATION: u64 = (1 << 42) - 1;

const ENDED: u8 = 0b0000_0001;
const DPOP_BOUND: u8 = 0b0000_1000;

/// A record in the store that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptRecord {
    /// Not 64 bytes.
    #[error("session record of {0} bytes instead of {LEN}")]
    Length(usize),
    /// Written by a version that this one does not know.
    #[error("session record of version {0}, this server knows {VERSION}")]
    Version(u8),
    /// A field holds what cannot be.
    #[error("session record with a nonsensical {0}")]
    Field(&'static str),
}

/// Packs a record.
pub fn encode(record: &SessionRecord) -> [u8; LEN] {
    let ended = record.ended.map_or(0, |_| ENDED);
    let dpop = if record.dpop_bound { DPOP_BOUND } else { 0 };
    let flags = ended | delivery_bits(record.delivery) << 1 | dpop | authentication_bits(record) << 4;
    let ahead = u64::from(record.idle_ahead.min(SessionRecord::MOST_AHEAD));
    let rotated_at = ahead << 42 | record.rotated_at.0.min(LAST_ROTATION);
    let [_, _, rotated_at @ ..] = rotated_at.to_be_bytes();
    let parts: [&[u8]; 16] = [
        &[VERSION, flags],
        &[record.ended.map_or(0, |ended| reason_byte(ended.reason))],
        &[record.mac_key.0],
        &record.generation.0.to_be_bytes(),
        &record.nonce.0,
        &record.previous_nonce.0,
        &record.attempt.map_or([0; 8], AttemptHash::bytes),
        &rotated_at,
        &record.signed_in_at.0.to_be_bytes(),
        &record.idle_deadline.0.to_be_bytes(),
        &record.absolute_deadline.0.to_be_bytes(),
        &record.ended.map_or(0, |ended| ended.at.0).to_be_bytes(),
        &record.client.0.to_be_bytes(),
        &record.debt.0.to_be_bytes(),
        &record.origin.0.to_be_bytes(),
        &[0, 0],
    ];
    let mut packed = [0; LEN];
    fill(&mut packed, &parts);
    packed
}

/// Reads a packed record.
///
/// # Errors
/// If it has another length or version, or a field with a value that no version has written.
pub fn decode(packed: &[u8]) -> Result<SessionRecord, CorruptRecord> {
    if packed.len() != LEN {
        return Err(CorruptRecord::Length(packed.len()));
    }
    let mut reader = Reader(packed);
    let [version, flags, reason, mac_key] = reader.take()?;
    if version != VERSION {
        return Err(CorruptRecord::Version(version));
    }
    let mut record = SessionRecord {
        idle_ahead: 0,
        mac_key: MacKeyId(mac_key),
        generation: Generation(reader.u32()?),
        nonce: Nonce(reader.take()?),
        previous_nonce: Nonce(reader.take()?),
        attempt: AttemptHash::from_bytes(reader.take()?),
        rotated_at: reader.millis()?,
        signed_in_at: UnixSeconds(reader.u32()?),
        idle_deadline: UnixSeconds(reader.u32()?),
        absolute_deadline: UnixSeconds(reader.u32()?),
        ended: None,
        delivery: delivery(flags >> 1 & 0b11)?,
        authentication: authentication(flags >> 4)?,
        dpop_bound: flags & DPOP_BOUND != 0,
        client: ClientNumber::default(),
        debt: Debt::default(),
        origin: OriginTag::default(),
    };
    record.idle_ahead = u8::try_from(record.rotated_at.0 >> 42).unwrap_or_default();
    record.rotated_at.0 &= LAST_ROTATION;
    let ended_at = UnixSeconds(reader.u32()?);
    if flags & ENDED != 0 {
        record.ended = Some(Ended { reason: reason_of(reason)?, at: ended_at });
    }
    record.client = ClientNumber(u16::from_be_bytes(reader.take()?));
    record.debt = Debt(u16::from_be_bytes(reader.take()?));
    record.origin = OriginTag(reader.u32()?);
    Ok(record)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CorruptRecord> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(CorruptRecord::Length(self.0.len()))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, CorruptRecord> {
        self.take().map(u32::from_be_bytes)
    }

    fn millis(&mut self) -> Result<UnixMillis, CorruptRecord> {
        let mut bytes = [0; 8];
        let [_, _, low @ ..] = &mut bytes;
        *low = self.take::<6>()?;
        Ok(UnixMillis(u64::from_be_bytes(bytes)))
    }
}

const fn delivery_bits(delivery: Delivery) -> u8 {
    match delivery {
        Delivery::Body => 0,
        Delivery::Hybrid => 1,
        Delivery::Cookie => 2,
    }
}

/// How a delivery is written in records and handed to scripts.
pub const fn delivery_byte(delivery: Delivery) -> u8 {
    delivery_bits(delivery)
}

const fn delivery(bits: u8) -> Result<Delivery, CorruptRecord> {
    match bits {
        0 => Ok(Delivery::Body),
        1 => Ok(Delivery::Hybrid),
        2 => Ok(Delivery::Cookie),
        _ => Err(CorruptRecord::Field("delivery")),
    }
}

const fn authentication_bits(record: &SessionRecord) -> u8 {
    match record.authentication {
        Authentication::Password => 0,
    }
}

const fn authentication(bits: u8) -> Result<Authentication, CorruptRecord> {
    match bits {
        0 => Ok(Authentication::Password),
        _ => Err(CorruptRecord::Field("way of authentication")),
    }
}

/// How the reason of an end is written in records and handed to scripts. Never zero.
pub const fn reason_byte(reason: EndReason) -> u8 {
    match reason {
        EndReason::SignedOut => 1,
        EndReason::RevokedByUser => 2,
        EndReason::RevokedByAdmin => 3,
        EndReason::PasswordChanged => 4,
        EndReason::Reuse => 5,
        EndReason::Replaced => 6,
        EndReason::SignedInBefore => 7,
        EndReason::UserDisabled => 8,
    }
}

const fn reason_of(byte: u8) -> Result<EndReason, CorruptRecord> {
    Ok(match byte {
        1 => EndReason::SignedOut,
        2 => EndReason::RevokedByUser,
        3 => EndReason::RevokedByAdmin,
        4 => EndReason::PasswordChanged,
        5 => EndReason::Reuse,
        6 => EndReason::Replaced,
        7 => EndReason::SignedInBefore,
        8 => EndReason::UserDisabled,
        _ => return Err(CorruptRecord::Field("reason")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record as any_record;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_can_be_read(record in any_record()) {
            let packed = encode(&record);
            prop_assert_eq!(decode(&packed), Ok(record));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_is_read_packs_to_the_same_meaning(mut bytes: [u8; 64]) {
            bytes[0] = VERSION;
            if let Ok(record) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&record)), Ok(record));
            }
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(decode(&[1; 63]), Err(CorruptRecord::Length(63)));
        let mut packed = [0; LEN];
        assert_eq!(decode(&packed), Err(CorruptRecord::Version(0)));
        packed[0] = 2;
        assert_eq!(decode(&packed), Err(CorruptRecord::Version(2)));
        packed[0] = 1;
        packed[1] = 0b110;
        assert_eq!(decode(&packed), Err(CorruptRecord::Field("delivery")));
        packed[1] = ENDED;
        assert_eq!(decode(&packed), Err(CorruptRecord::Field("reason")));
        packed[1] = 0xf0;
        assert_eq!(decode(&packed), Err(CorruptRecord::Field("way of authentication")));
    }
}
