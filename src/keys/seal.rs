//! Sealing: what is secret leaves the process only encrypted and authenticated (AES-256-GCM, NIST SP 800-38D).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::master::{Derived, MasterKeys};
use crate::ambient::{NoEntropy, Random};

/// What a sealed text is for, and whose it is. A text that is sealed for one subject does not open for another, so
/// that nobody who can write to the store can pass one off as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What for: a fixed word without NUL, one for each use of sealing.
    pub purpose: &'static str,
    /// Whose: the id of the key or record.
    pub id: &'a str,
}

impl Subject<'_> {
    /// NUL ends the purpose, so no two subjects have the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        [self.purpose.as_bytes(), b"\0", self.id.as_bytes()].concat()
    }
}

/// A sealed text. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Check value of the master key that it was sealed under.
    pub master_key: String,
    /// The nonce, in base64url.
    nonce: String,
    /// Ciphertext and tag, in base64url.
    ciphertext: String,
}

/// Sealing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed to seal")]
    Crypto,
}

/// A sealed text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The master key that it was sealed under is not at hand.
    #[error("sealed under an unknown master key")]
    UnknownMasterKey,
    /// It was changed, or sealed for another subject.
    #[error("not what was sealed for this subject")]
    Forged,
}

impl MasterKeys {
    /// Seals `secret` for `subject` under the master key in use.
    ///
    /// The nonce is random. That is safe for 2^32 texts under one key (NIST SP 800-38D, section 8.3), and a key ring
    /// seals a few a year.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn seal(&self, subject: Subject<'_>, secret: &[u8], random: Random) -> Result<Sealed, SealError> {
        let nonce: [u8; NONCE_LEN] = random.bytes()?;
        let aad = Aad::from(subject.associated_data());
        // Room for the tag from the start: growing would leave a copy of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        text.extend_from_slice(secret);
        let key = sealing_key(&self.current).ok_or(SealError::Crypto)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *text)
            .map_err(|_| SealError::Crypto)?;
        Ok(Sealed {
            master_key: self.current.check_value.clone(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            ciphertext: URL_SAFE_NO_PAD.encode(text.as_slice()),
        })
    }

    /// Opens what was sealed for `subject` under any of the master keys.
    ///
    /// # Errors
    /// If the master key is missing, or the text is not what was sealed.
    pub fn open(&self, subject: Subject<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let derived = self
            .all()
            .find(|derived| derived.check_value == sealed.master_key)
            .ok_or(OpenError::UnknownMasterKey)?;
        decrypt(derived, subject, sealed).ok_or(OpenError::Forged)
    }
}

fn decrypt(derived: &Derived, subject: Subject<'_>, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; NONCE_LEN] = URL_SAFE_NO_PAD.decode(&sealed.nonce).ok()?.try_into().ok()?;
    let mut text = Zeroizing::new(URL_SAFE_NO_PAD.decode(&sealed.ciphertext).ok()?);
    let aad = Aad::from(subject.associated_data());
    let key = sealing_key(derived)?;
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut text).ok()?.len();
    text.truncate(opened);
    Some(text)
}

fn sealing_key(derived: &Derived) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, derived.sealing_key.as_slice()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::master::MasterKey;
    use crate::keys::master::tests::numbered;

    const SUBJECT: Subject<'_> = Subject { purpose: "signing key", id: "some-kid" };

    fn keys(current: u8, previous: &[u8]) -> MasterKeys {
        let previous: Vec<MasterKey> = previous.iter().copied().map(numbered).collect();
        MasterKeys::new(&numbered(current), &previous).unwrap()
    }

    /// Sealed by another implementation (Python's cryptography) under the master key of bytes 0 to 31.
    #[test]
    fn what_another_implementation_sealed_opens() {
        let master = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let sealed = Sealed {
            master_key: "PTp7dPletNi_GvaSdbBi3w".into(),
            nonce: "BwcHBwcHBwcHBwcH".into(),
            ciphertext: "WISfoCbbEpMy8so7CRdvFnpAGee3jbmaSni4A8sA".into(),
        };
        let opened = MasterKeys::new(&master, &[]).unwrap().open(SUBJECT, &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"attack at dawn");
    }

    #[test]
    fn what_is_sealed_opens_for_its_subject_only() {
        let keys = keys(1, &[]);
        let sealed = keys.seal(SUBJECT, b"secret", Random).unwrap();
        assert_eq!(keys.open(SUBJECT, &sealed).unwrap().as_slice(), b"secret");
        let others = [
            Subject { id: "other-kid", ..SUBJECT },
            Subject { purpose: "cursor", ..SUBJECT },
            Subject { purpose: "signing key", id: "" },
            Subject { purpose: "signing", id: " key\0some-kid" },
        ];
        for other in others {
            assert_eq!(keys.open(other, &sealed).err(), Some(OpenError::Forged), "{other:?}");
        }
    }

    #[test]
    fn previous_master_keys_open_and_unknown_ones_are_named() {
        let sealed = keys(1, &[]).seal(SUBJECT, b"secret", Random).unwrap();
        let newer = keys(2, &[1]);
        assert_eq!(newer.open(SUBJECT, &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(newer.seal(SUBJECT, b"secret", Random).unwrap().master_key, newer.check_value());
        assert_eq!(keys(2, &[]).open(SUBJECT, &sealed).err(), Some(OpenError::UnknownMasterKey));
    }

    #[test]
    fn any_change_is_noticed() {
        let keys = keys(1, &[]);
        let sealed = keys.seal(SUBJECT, b"secret", Random).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.ciphertext).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = Sealed { ciphertext: URL_SAFE_NO_PAD.encode(changed), ..sealed.clone() };
            assert_eq!(keys.open(SUBJECT, &changed).err(), Some(OpenError::Forged));
        }
        for nonce in ["", "AAAA", "BwcHBwcHBwcHBwcH", "not base64url"] {
            let changed = Sealed { nonce: nonce.into(), ..sealed.clone() };
            assert_eq!(keys.open(SUBJECT, &changed).err(), Some(OpenError::Forged));
        }
        for ciphertext in ["", "AAAA", "not base64url"] {
            let changed = Sealed { ciphertext: ciphertext.into(), ..sealed.clone() };
            assert_eq!(keys.open(SUBJECT, &changed).err(), Some(OpenError::Forged));
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let keys = keys(1, &[]);
        let (one, two) = (keys.seal(SUBJECT, b"secret", Random), keys.seal(SUBJECT, b"secret", Random));
        assert_ne!(one.unwrap().nonce, two.unwrap().nonce);
    }
}
