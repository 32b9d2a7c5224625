//! base64url without padding (RFC 4648, section 5), read strictly: no padding, no white space, no spare bits set.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text form of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes that `text` stands for, or nothing if it is not the one text form of some bytes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Exactly `N` bytes from `text`, or nothing. Never allocates more than the result.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut bytes = [0; N];
    let written = URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes).ok()?;
    (written == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_each_value() {
        assert_eq!(decode_exact::<1>("AQ"), Some([1]));
        for wrong in ["AR", "AQ==", "A", "", " AQ", "AQ\n", "+/", "AQQ"] {
            assert_eq!(decode_exact::<1>(wrong), None, "{wrong:?}");
        }
    }
}
