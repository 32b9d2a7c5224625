//! Which 32 bytes are a public key of Ed25519 (RFC 8032, section 5.1.3): the encoding of a point on the curve, in the one
//! form that a point has, and none of the eight points of small order, for which there are signatures that verify any
//! message (RFC 8725, section 3.4; RFC 7748, section 7).
//!
//! Public keys are no secrets: nothing here takes the same time for all of them.

/// 2^255 - 19, the lowest bytes first, as all numbers here.
const P: [u64; 4] = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
/// The curve's constant d, -121665/121666.
const D: Element =
    Element([0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73]);
const ZERO: Element = Element([0; 4]);
const ONE: Element = Element([1, 0, 0, 0]);
const MINUS_ONE: Element = Element([P[0] - 1, P[1], P[2], P[3]]);

/// Whether it is the encoding of a point of the curve that may be somebody's public key.
pub(crate) fn is_public_key(encoded: &[u8; 32]) -> bool {
    // The highest bit is the sign of x, which makes no difference to any of this.
    let mut bytes = *encoded;
    bytes[31] &= 0x7f;
    let Some(y) = Element::from_bytes(&bytes) else { return false };
    // x² = (y² - 1) / (d·y² + 1), and the divisor is never zero.
    let y2 = y.times(y);
    let (u, v) = (y2.plus(MINUS_ONE), D.times(y2).plus(ONE));
    let x2_times_v2 = u.times(v);
    if x2_times_v2 == ZERO {
        // The neutral point and the one of order 2, whose x is zero.
        return false;
    }
    x2_times_v2.is_square() && !is_of_small_order(y, y2)
}

/// Whether a point of this y has order 4 or 8: twice a point of order 4 is the one of order 2, whence y = 0, and twice one
/// of order 8 is of order 4, whence y² = -x². With the curve's equation that is d·y⁴ + 2·y² - 1 = 0.
fn is_of_small_order(y: Element, y2: Element) -> bool {
    y == ZERO || D.times(y2).times(y2).plus(y2).plus(y2).plus(MINUS_ONE) == ZERO
}

/// A number below 2^255 - 19.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element([u64; 4]);

impl Element {
    /// Nothing if it is not below 2^255 - 19.
    fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        is_below_p(&limbs).then_some(Self(limbs))
    }

    fn plus(self, other: Self) -> Self {
        let mut carry = false;
        let mut sum = [0; 4];
        for (limb, (a, b)) in sum.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let (half, first) = a.overflowing_add(b);
            let (whole, second) = half.overflowing_add(u64::from(carry));
            (*limb, carry) = (whole, first || second);
        }
        reduced(sum)
    }

    fn times(self, other: Self) -> Self {
        let mut product = [0_u64; 8];
        for (at, a) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (limb, b) in product.iter_mut().skip(at).zip(other.0) {
                (*limb, carry) = multiply_and_add(a, b, *limb, carry);
            }
            if let Some(limb) = product.get_mut(at + 4) {
                *limb = carry;
            }
        }
        // 2^256 = 38.
        let [low @ .., h0, h1, h2, h3] = product;
        let (mut sum, mut carry) = ([0; 4], 0);
        for (limb, (low, high)) in sum.iter_mut().zip(low.into_iter().zip([h0, h1, h2, h3])) {
            (*limb, carry) = multiply_and_add(high, 38, low, carry);
        }
        // At most 38 · 38 is left over, and it carries once at the most.
        let mut more = carry * 38;
        while more != 0 {
            let mut carried = more;
            for limb in &mut sum {
                let (whole, overflowed) = limb.overflowing_add(carried);
                (*limb, carried) = (whole, u64::from(overflowed));
            }
            more = carried * 38;
        }
        reduced(sum)
    }

    /// Euler's criterion, for a number that is not zero: its (p - 1) / 2nd power, which is 2^254 - 10, is one.
    fn is_square(self) -> bool {
        // 2^254 - 10 has the bits 1 from 2^253 down to 2^4, and then 0110.
        let mut power = ONE;
        for bit in (0..254).rev() {
            power = power.times(power);
            if bit >= 4 || bit == 1 || bit == 2 {
                power = power.times(self);
            }
        }
        power == ONE
    }
}

/// a · b + c + d, which always fits: its lower and its upper half.
fn multiply_and_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let [l0, l1, l2, l3, l4, l5, l6, l7, high @ ..] =
        (u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d)).to_le_bytes();
    (u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]), u64::from_le_bytes(high))
}

fn is_below_p(limbs: &[u64; 4]) -> bool {
    limbs.iter().rev().lt(P.iter().rev())
}

/// The number modulo p: it takes two subtractions at the most.
fn reduced(mut limbs: [u64; 4]) -> Element {
    while !is_below_p(&limbs) {
        let mut borrow = false;
        for (limb, p) in limbs.iter_mut().zip(P) {
            let (half, first) = limb.overflowing_sub(p);
            let (whole, second) = half.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (whole, first || second);
        }
    }
    Element(limbs)
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

    /// RFC 8032, section 5.1.3, step 1: y is below p. The ones from p on would be 0 to 18 once more; of these 3, 4, 5 and 6
    /// and others are on the curve.
    #[test]
    fn a_point_has_one_encoding() {
        let mut on_the_curve = 0;
        for above in 0..19_u8 {
            let mut small = [0; 32];
            small[0] = above;
            on_the_curve += usize::from(is_public_key(&small));
            let mut key = [0xff; 32];
            (key[0], key[31]) = (0xed + above, 0x7f);
            assert!(!is_public_key(&key), "p + {above}");
        }
        assert!(on_the_curve > 5);
    }

    /// Of all y half have no x.
    #[test]
    fn what_is_not_on_the_curve_is_no_public_key() {
        let is_on_the_curve = |y: u8| is_public_key(&[&[y][..], &[0; 31]].concat().try_into().unwrap());
        let found: Vec<u8> = (0..32).filter(|y| is_on_the_curve(*y)).collect();
        // By an own computation with Python's integers.
        let expected = [3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30];
        assert_eq!(found, expected);
    }
}
