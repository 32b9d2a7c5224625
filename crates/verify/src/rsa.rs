//! Which RSA public keys are used (RFC 7518, section 3.3; NIST SP 800-89, section 5.3.3).

/// The primes of which no modulus may be a multiple: those below 752.
const SMALLER_THAN: u32 = 752;
/// Modulo these primes the powers of 65537 are few, and keys that a flawed library of Infineon made (ROCA, CVE-2017-15361)
/// leave one of them. Of all others one in 2^27 does.
const MARKS: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// Whether it is a key of 2048 to 8192 bits, both numbers in their shortest form, that may have been made as keys should be:
/// an odd exponent from 3 to 2^32, and an odd modulus that is no multiple of a small prime and shows no mark of ROCA.
pub(crate) fn is_usable(modulus: &[u8], exponent: &[u8]) -> bool {
    let bits = match modulus.first() {
        Some(first) => modulus.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize),
        None => 0,
    };
    let is_minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    let exponent_fits = exponent.len() <= 4 && is_odd(exponent) && exponent != [1];
    (2048..=8192).contains(&bits)
        && is_minimal(modulus)
        && is_minimal(exponent)
        && exponent_fits
        && has_no_small_factor(modulus)
        && !is_marked(modulus)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}

/// Of a number that is no multiple of smaller ones a composite one tells nothing new.
fn has_no_small_factor(modulus: &[u8]) -> bool {
    is_odd(modulus) && (3..SMALLER_THAN).step_by(2).all(|factor| rest(modulus, factor) != 0)
}

fn is_marked(modulus: &[u8]) -> bool {
    MARKS.iter().all(|prime| {
        let (rest, step) = (rest(modulus, *prime), 65537 % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * step % prime));
        // Every one of them has come within so many.
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

fn rest(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % divisor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rsa_modulus;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const F4: [u8; 3] = [1, 0, 1];

    #[test]
    fn moduli_have_2048_to_8192_bits_and_are_odd() {
        let good = rsa_modulus();
        assert!(is_usable(&good, &F4));
        assert!(!is_usable(&good[1..], &F4), "too short");
        assert!(!is_usable(&[&[0], good.as_slice()].concat(), &F4), "a zero in front");
        assert!(!is_usable(&[good.as_slice(); 5].concat(), &F4), "too long");
        assert!(!is_usable(&[], &F4));
        let mut even = good;
        *even.last_mut().unwrap() -= 1;
        assert!(!is_usable(&even, &F4));
    }

    #[test]
    fn exponents_are_odd_and_from_3_to_2_to_the_32nd() {
        let n = rsa_modulus();
        for good in [&[3][..], &[17], &F4, &[0xff; 4]] {
            assert!(is_usable(&n, good), "{good:?}");
        }
        for bad in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[0, 1, 0, 1], &[0, 3], &[1, 0, 0, 0, 1]] {
            assert!(!is_usable(&n, bad), "{bad:?}");
        }
    }

    /// 2^3072 - 1 is a multiple of 3, and a good modulus times a small prime of it.
    #[test]
    fn moduli_have_no_small_factor() {
        assert!(!is_usable(&[0xff; 384], &F4));
        for factor in [3, 5, 7, 251, 751] {
            assert!(!is_usable(&times(&rsa_modulus(), factor), &F4), "{factor}");
        }
        assert!(is_usable(&times(&rsa_modulus(), 757), &F4), "no larger one is looked for");
    }

    fn times(number: &[u8], factor: u32) -> Vec<u8> {
        let (mut product, mut carry) = (Vec::new(), 0);
        for byte in number.iter().rev() {
            let digit = u32::from(*byte) * factor + carry;
            product.push(digit.to_le_bytes()[0]);
            carry = digit >> 8;
        }
        product.extend(carry.to_le_bytes());
        while product.last() == Some(&0) {
            product.pop();
        }
        product.reverse();
        product
    }

    /// A power of 65537 modulo the product of the primes from 3 to 167, and a random multiple of it: what the public part of
    /// such keys looks like. Wycheproof has one whose factors are known (`json_web_key_test.json`, `jws_rsa_roca_key`).
    #[test]
    fn moduli_of_a_flawed_library_are_refused() {
        let marked = concat!(
            "pp_P8vTAxff0Yupx3ubqlMf2zELmlmDDT_4wemSnU3H062ggLzg1-kInN6NVtlDRnMFOdFORKd6yyWEtD6j2QpD54inzQn109hCujPuo",
            "qA7GIbomupgxB_AgCneH5UtJlTPySRyPtADZjQxsLjdJnjCsi1Zr6KTXT4jNp0OTs6KW7SFWBXUiBeGhSxuTv7uLDGaV_-Iyo9q1RwXk",
            "bhUza-yBYQO7rk1fr205OY1PwgHunUsJLdvSCJnkdhD54gqnUceYfgy2mrf1oNAuRO6b1ztTaQoUZG5X47mcWMrmT6ZYfC4V3fwmmxjH",
            "0umrRHuDD2aLEwf3s-sGH3Dz5DnouQ",
        );
        let marked = URL_SAFE_NO_PAD.decode(marked).unwrap();
        assert!(has_no_small_factor(&marked) && is_marked(&marked));
        assert!(!is_usable(&marked, &F4));
    }
}
