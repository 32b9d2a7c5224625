//! The compact serialization of a JWS (RFC 7515, sections 2 and 7.1), read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::MAX_TOKEN_LEN;

/// A token taken apart, nothing of it believed yet.
pub(crate) struct Compact<'a> {
    /// The header as it was sent.
    pub(crate) header: &'a str,
    /// The claims' JSON.
    pub(crate) payload: Vec<u8>,
    /// The signature.
    pub(crate) signature: Vec<u8>,
    /// What the signature is over: the first two segments as they were sent.
    pub(crate) signed: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Three non-empty segments of base64url without padding, white space or spare bits, or nothing. The header's is not looked at
    /// yet.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_LEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        // A fourth segment would leave a dot in the payload, which is no character of base64url.
        let (header, payload) = signed.split_once('.')?;
        Some(Self {
            header,
            payload: segment(payload)?,
            signature: segment(signature)?,
            signed: signed.as_bytes(),
        })
    }
}

impl Compact<'_> {
    /// The header's JSON, or nothing if it is not one segment.
    pub(crate) fn header_json(&self) -> Option<Vec<u8>> {
        segment(self.header)
    }
}

/// The engine's defaults refuse padding and spare bits that are not zero, so each value has one text.
fn segment(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_segments_in_their_one_text_form() {
        let parts = Compact::parse("AQ.AgM.BAUG").unwrap();
        assert_eq!((parts.header_json(), parts.header), (Some(vec![1]), "AQ"));
        assert_eq!((parts.payload, parts.signature), (vec![2, 3], vec![4, 5, 6]));
        assert_eq!(parts.signed, b"AQ.AgM");
    }

    #[test]
    fn any_other_shape_is_refused() {
        let wrong = [
            "",
            ".",
            "..",
            "AQ",
            "AQ.AQ",
            "AQ.AQ.",
            ".AQ.AQ",
            "AQ..AQ",
            "AQ.AQ.AQ.AQ",
            "AQ.AQ.AQ.AQ.AQ",
            "AQ.AQ.AQ.",
            ".AQ.AQ.AQ",
            "AQ==.AQ.AQ",
            "AQ.AQ==.AQ",
            "AQ.AQ.AQ==",
            "AR.AQ.AQ",
            "AQ.AR.AQ",
            "AQ.AQ.AR",
            " AQ.AQ.AQ",
            "AQ.AQ.AQ ",
            "AQ.A Q.AQ",
            "AQ.AQ.AQ\n",
            "AQ.A.AQ",
            "A+.AQ.AQ",
            "AQ.A/.AQ",
            "AQ.AQ.é",
            "{\"payload\":\"\"}",
        ];
        for token in wrong {
            let header = Compact::parse(token).and_then(|parts| parts.header_json());
            assert!(header.is_none(), "{token:?}");
        }
    }

    #[test]
    fn a_long_token_is_not_looked_at() {
        let longest = format!("AQ.AQ.{}", "AAAA".repeat((MAX_TOKEN_LEN - 6) / 4));
        assert!(longest.len() <= MAX_TOKEN_LEN && Compact::parse(&longest).is_some());
        let too_long = format!("AQ.AQ.{}", "AAAA".repeat(MAX_TOKEN_LEN / 4));
        assert!(Compact::parse(&too_long).is_none());
    }
}
