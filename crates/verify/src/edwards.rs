//! Which 32 bytes may be a public key of Ed25519 (RFC 8032, section 5.1.3): a number below 2^255 - 19, so that no point has a
//! second encoding, and none of the eight points of small order, for which there are signatures that verify any message
//! (RFC 8725, section 3.4; RFC 7748, section 7).
//!
//! Whether there is such a point at all is not asked: if there is none, no signature verifies.

/// The y of the points of small order, the lowest byte first: of order 1, 2, 4 and, twice, 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    with_ends(0x01, 0x00, 0x00),
    with_ends(0xec, 0xff, 0x7f),
    with_ends(0x00, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// 2^255 - 19, the lowest byte first.
const P: [u8; 32] = with_ends(0xed, 0xff, 0x7f);

const fn with_ends(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Whether it may be somebody's public key.
pub(crate) fn is_public_key(encoded: &[u8; 32]) -> bool {
    // The highest bit is the sign of x. With either sign a point of small order is one.
    let mut y = *encoded;
    y[31] &= 0x7f;
    y.iter().rev().lt(P.iter().rev()) && !SMALL_ORDER.contains(&y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    fn hex(text: &str) -> [u8; 32] {
        let digits: Vec<u8> =
            text.chars().map(|digit| digit.to_digit(16).unwrap().try_into().unwrap()).collect();
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect();
        bytes.try_into().unwrap()
    }

    /// RFC 8032, section 7.1.
    #[test]
    fn the_standards_keys_are_public_keys() {
        for key in [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        ] {
            assert!(is_public_key(&hex(key)), "{key}");
        }
    }

    #[test]
    fn every_key_that_is_made_is_a_public_key() {
        for _ in 0..200 {
            let pair = Ed25519KeyPair::generate().unwrap();
            assert!(is_public_key(pair.public_key().as_ref().try_into().unwrap()));
        }
    }

    /// The eight points of small order, with either sign, and every other encoding of them.
    #[test]
    fn points_of_small_order_are_no_public_keys() {
        for y in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let mut key = hex(y);
            assert!(!is_public_key(&key), "{y}");
            key[31] |= 0x80;
            assert!(!is_public_key(&key), "{y} with the other sign");
        }
    }

    /// RFC 8032, section 5.1.3, step 1: y is below p. What is not would be 0 to 18 once more.
    #[test]
    fn a_point_has_one_encoding() {
        for above in 0..19_u8 {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (0xed + above, 0x7f);
            assert!(!is_public_key(&key), "p + {above}");
            key[31] = 0xff;
            assert!(!is_public_key(&key), "p + {above} with the other sign");
        }
        let mut below = [0xff; 32];
        (below[0], below[31]) = (0xeb, 0x7f);
        assert!(is_public_key(&below), "p - 2");
    }
}
