//! The master key, and one derived key for each purpose (HKDF-SHA-256, RFC 5869).

use std::fmt;

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use relatch_domain::MacKeyId;
use relatch_domain::mac::{AmbiguousKeyId, MacKey, MacRing};
use zeroize::Zeroizing;

use crate::ambient::{NoEntropy, Random};

/// Changing the salt or a label invalidates every refresh token and every sealed key.
const SALT: &[u8] = b"relatch master key v1";
const MAC_KEY: &str = "refresh token MAC key";
const MAC_KEY_ID: &str = "refresh token MAC key id";
const SEALING_KEY: &str = "sealing key";
const CHECK_VALUE: &str = "check value";

/// 32 secret bytes from which everything else is derived. Wiped on drop; never shown.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Not a master key. Never repeats what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMasterKey {
    /// Not 32 bytes in Base64.
    #[error("a master key is 32 random bytes in Base64; `relatch key generate` makes one")]
    Malformed,
    /// A placeholder, not a secret.
    #[error("this master key repeats one byte and is no secret; `relatch key generate` makes one")]
    Placeholder,
}

impl MasterKey {
    /// Whether both are the same key, compared in constant time.
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_slice(), other.0.as_slice()).is_ok()
    }

    /// A new key.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(random: Random) -> Result<Self, NoEntropy> {
        Ok(Self(Zeroizing::new(random.bytes()?)))
    }

    /// Reads a key: Base64 with either alphabet (RFC 4648, sections 4 and 5), with or without padding.
    ///
    /// # Errors
    /// If it is not 32 bytes, or one byte repeated, as in samples.
    pub fn from_base64(text: &str) -> Result<Self, InvalidMasterKey> {
        const LENIENT: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const ENGINES: [GeneralPurpose; 2] = [
            GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
            GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
        ];
        // Larger than the key, as the decoder wants room for what the text might hold at most.
        let mut buffer = Zeroizing::new([0; 64]);
        let decodes = |engine: &GeneralPurpose| engine.decode_slice(text, buffer.as_mut_slice()) == Ok(32);
        if text.len() > 44 || !ENGINES.iter().any(decodes) {
            return Err(InvalidMasterKey::Malformed);
        }
        let key: &[u8; 32] = buffer.first_chunk().ok_or(InvalidMasterKey::Malformed)?;
        if key.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(InvalidMasterKey::Placeholder);
        }
        Ok(Self(Zeroizing::new(*key)))
    }

    /// The key as text: standard Base64 with padding.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// What is derived from one master key.
pub(super) struct Derived {
    mac_key_id: MacKeyId,
    mac_key: Zeroizing<[u8; 32]>,
    pub(super) sealing_key: Zeroizing<[u8; 32]>,
    pub(super) check_value: String,
}

impl Derived {
    fn from(master: &MasterKey) -> Result<Self, InvalidMasterKeys> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(master.0.as_slice());
        let [mac_key_id] = *derive(&prk, MAC_KEY_ID)?;
        Ok(Self {
            mac_key_id: MacKeyId(mac_key_id),
            mac_key: derive(&prk, MAC_KEY)?,
            sealing_key: derive(&prk, SEALING_KEY)?,
            check_value: URL_SAFE_NO_PAD.encode(*derive::<16>(&prk, CHECK_VALUE)?),
        })
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(prk: &hkdf::Prk, label: &str) -> Result<Zeroizing<[u8; N]>, InvalidMasterKeys> {
    let mut bytes = Zeroizing::new([0; N]);
    prk.expand(&[label.as_bytes()], Length(N))
        .and_then(|okm| okm.fill(bytes.as_mut_slice()))
        .map_err(|_| InvalidMasterKeys::Derivation)?;
    Ok(bytes)
}

/// The master key in use and the previous ones: the first mints and seals, all verify and open.
pub struct MasterKeys {
    pub(super) current: Derived,
    pub(super) previous: Vec<Derived>,
}

/// Master keys that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMasterKeys {
    /// One key is listed twice.
    #[error("the same master key is given twice")]
    Repeated,
    /// Refresh tokens name their key by one byte, and two master keys have the same one.
    #[error(
        "two master keys cannot be used together, because refresh tokens would call both of them {}: generate another \
         one with `relatch key generate` (this happens once in 256 times)", .0.0
    )]
    SameMacKeyId(MacKeyId),
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed to derive keys")]
    Derivation,
}

impl MasterKeys {
    /// The keys in use. The master keys themselves are forgotten once everything is derived from them.
    ///
    /// # Errors
    /// If a key is there twice, or two keys happen to have the same one-byte id.
    pub fn new(current: &MasterKey, previous: &[MasterKey]) -> Result<Self, InvalidMasterKeys> {
        let keys = Self {
            current: Derived::from(current)?,
            previous: previous.iter().map(Derived::from).collect::<Result<_, _>>()?,
        };
        let values = keys.check_values();
        if values
            .iter()
            .enumerate()
            .any(|(index, value)| values.iter().take(index).any(|other| other == value))
        {
            return Err(InvalidMasterKeys::Repeated);
        }
        keys.mac_ring()?;
        Ok(keys)
    }

    /// The keys of refresh tokens.
    ///
    /// # Errors
    /// As [`MasterKeys::new`], which has made sure already.
    pub fn mac_ring(&self) -> Result<MacRing, InvalidMasterKeys> {
        let key = |derived: &Derived| MacKey::new(derived.mac_key_id, &derived.mac_key);
        MacRing::new(key(&self.current), self.previous.iter().map(key).collect())
            .map_err(|AmbiguousKeyId(id)| InvalidMasterKeys::SameMacKeyId(id))
    }

    /// A value that only the master key in use gives and that says nothing about it. Not secret: the store's marker
    /// holds it, so that a node with another key notices.
    pub fn check_value(&self) -> &str {
        &self.current.check_value
    }

    /// The check values of all master keys, that of the one in use first. A marker that holds one of the others was
    /// left before the master key was changed.
    pub fn check_values(&self) -> Vec<&str> {
        self.all().map(|derived| derived.check_value.as_str()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Derived> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKeys").field("check_values", &self.check_values()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use relatch_domain::refresh_token::{InvalidRefreshToken, RefreshToken};
    use relatch_domain::{Generation, Nonce, SessionId, SessionRef, UnixSeconds, UserId};

    fn counting() -> MasterKey {
        MasterKey(Zeroizing::new(std::array::from_fn(|index| u8::try_from(index).unwrap())))
    }

    /// A key whose last byte is `number` and whose other bytes are zero.
    pub(in crate::keys) fn numbered(number: u8) -> MasterKey {
        let mut bytes = [0; 32];
        bytes[31] = number;
        MasterKey(Zeroizing::new(bytes))
    }

    /// Computed by another implementation (Python's hmac). If this test fails, every refresh token and sealed key in
    /// the field has just become invalid.
    #[test]
    fn the_derivations_are_the_released_ones() {
        let derived = Derived::from(&counting()).unwrap();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(derived.mac_key_id, MacKeyId(0x89));
        assert_eq!(text(derived.mac_key.as_slice()), "f-azQfBltaaldPIzZOG1XYxxKdndxSFbZkxpcMZ5oG0");
        assert_eq!(text(derived.sealing_key.as_slice()), "UCQEdk6P87s1AAfw7XfAw8DjiV-JS0KyAQJhVfnFNjQ");
        assert_eq!(derived.check_value, "PTp7dPletNi_GvaSdbBi3w");
    }

    fn token() -> RefreshToken {
        RefreshToken {
            session: SessionRef {
                user: UserId::from_bytes([0x11; 16]),
                session: SessionId::from_bytes([0x22; 16]),
            },
            generation: Generation(3),
            nonce: Nonce([0x33; 8]),
            issued_at: UnixSeconds(1_700_000_000),
        }
    }

    /// From the same implementation, over the whole way from master key to token.
    #[test]
    fn a_refresh_token_of_another_implementation_opens() {
        let text = "rlt1_iREREREREREREREREREREREiIiIiIiIiIiIiIiIiIiIiAAAAAzMzMzMzMzMzZVPxAE_5ANt61ANd7tr-Gmnoh8tBds5e";
        let ring = MasterKeys::new(&counting(), &[]).unwrap().mac_ring().unwrap();
        assert_eq!(RefreshToken::open(text, &ring), Ok(token()));
    }

    #[test]
    fn tokens_of_a_previous_master_key_open_and_new_ones_are_not_made_with_it() {
        let old = MasterKeys::new(&numbered(1), &[]).unwrap().mac_ring().unwrap();
        let both = MasterKeys::new(&numbered(2), &[numbered(1)]).unwrap().mac_ring().unwrap();
        let text = token().seal(old.minting_id(), &old).unwrap();
        assert_eq!(RefreshToken::open(&text, &both), Ok(token()));
        assert_ne!(both.minting_id(), old.minting_id());
        let new = token().seal(both.minting_id(), &both).unwrap();
        assert_eq!(RefreshToken::open(&new, &old), Err(InvalidRefreshToken::Forged));
    }

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        let texts = [
            "+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+/8=",
            "+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+/8",
            "-__7__v_-__7__v_-__7__v_-__7__v_-__7__v_-_8=",
            "-__7__v_-__7__v_-__7__v_-__7__v_-__7__v_-_8",
        ];
        for text in texts {
            assert_eq!(MasterKey::from_base64(text).unwrap().to_base64().as_str(), texts[0]);
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        let wrong = [
            String::new(),
            encode(&[1, 2]),
            encode(&[5; 31]),
            encode(&[5; 33]),
            "a".repeat(1000),
            "correct horse battery staple correct horse b".into(),
            "+//7__v/+//7//v/+//7//v/+//7//v/+//7//v/+/8=".into(),
            format!("{}\n", encode(&[5; 32])),
        ];
        for text in &wrong {
            assert_eq!(MasterKey::from_base64(text).err(), Some(InvalidMasterKey::Malformed), "{text}");
        }
        for byte in [0, b'A', 0xff] {
            let text = encode(&[byte; 32]);
            assert_eq!(MasterKey::from_base64(&text).err(), Some(InvalidMasterKey::Placeholder));
        }
    }

    #[test]
    fn a_generated_key_survives_its_text_and_no_two_are_alike() {
        let (one, two) = (MasterKey::generate(Random).unwrap(), MasterKey::generate(Random).unwrap());
        assert_ne!(one.0, two.0);
        assert_eq!(MasterKey::from_base64(&one.to_base64()).unwrap().0, one.0);
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let again = MasterKeys::new(&numbered(1), &[numbered(2), numbered(1)]);
        assert_eq!(again.err(), Some(InvalidMasterKeys::Repeated));
    }

    #[test]
    fn two_keys_that_tokens_could_not_tell_apart_are_refused_with_advice() {
        // Found by trying: both derive the id 205.
        let clash = MasterKeys::new(&numbered(3), &[numbered(9)]).err().unwrap();
        assert_eq!(clash, InvalidMasterKeys::SameMacKeyId(MacKeyId(205)));
        assert!(clash.to_string().contains("relatch key generate"));
    }

    #[test]
    fn check_values_tell_master_keys_apart() {
        let keys = MasterKeys::new(&numbered(2), &[numbered(1)]).unwrap();
        let old = MasterKeys::new(&numbered(1), &[]).unwrap();
        assert_eq!(keys.check_values(), [keys.check_value(), old.check_value()]);
        assert_ne!(keys.check_value(), old.check_value());
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let key = counting();
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
        let shown = format!("{:?}", MasterKeys::new(&key, &[]).unwrap());
        assert_eq!(shown, r#"MasterKeys { check_values: ["PTp7dPletNi_GvaSdbBi3w"], .. }"#);
    }
}
