//! The nonce of the token that follows another.
//!
//! A client that repeats a refresh must get the same successor, also from a store that has lost the first rotation: the
//! client may hold its token by then. So where a request can be told from a stranger's, by its attempt key or by the
//! `DPoP` key of the session, the nonce is a function of what is asked, and rotating again comes to the same token.
//! Nobody needs to be kept from guessing it: a token is worth its MAC.

use aws_lc_rs::digest;

use crate::ids::Nonce;
use crate::rotation::Presented;

/// The nonce of the successor of the presented token. `random` is used where nothing tells one request from another.
pub fn nonce(presented: &Presented, random: Nonce) -> Nonce {
    let (by, what): (&[u8], &[u8]) = match (&presented.thumbprint, &presented.attempt) {
        (Some(thumbprint), _) => (b"dpop", &thumbprint.0),
        (None, Some(attempt)) => (b"attempt", &attempt.bytes()),
        (None, None) => return random,
    };
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"relatch successor v1");
    context.update(presented.session.user.as_bytes());
    context.update(presented.session.session.as_bytes());
    context.update(&presented.generation.0.to_be_bytes());
    context.update(&presented.nonce.0);
    context.update(by);
    context.update(what);
    let mut nonce = [0; 8];
    nonce.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    Nonce(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptHash;
    use crate::ids::{ClientNumber, Generation, SessionId, SessionRef, Thumbprint, UserId};
    use crate::session::Delivery;
    use crate::time::UnixSeconds;

    const RANDOM: Nonce = Nonce([9; 8]);

    fn presented() -> Presented {
        Presented {
            session: SessionRef {
                user: UserId::from_bytes([1; 16]),
                session: SessionId::from_bytes([2; 16]),
            },
            generation: Generation(3),
            nonce: Nonce([4; 8]),
            issued_at: UnixSeconds(5),
            attempt: AttemptHash::from_bytes([6; 8]),
            client: ClientNumber::FIRST_PARTY,
            delivery: Delivery::Body,
            thumbprint: None,
        }
    }

    #[test]
    fn the_same_refresh_has_the_same_successor() {
        let again = Presented { issued_at: UnixSeconds(7), ..presented() };
        assert_eq!(nonce(&presented(), RANDOM), nonce(&again, Nonce([8; 8])));
        let bound = Presented { thumbprint: Some(Thumbprint([1; 32])), ..presented() };
        assert_eq!(nonce(&bound, RANDOM), nonce(&Presented { attempt: None, ..bound }, RANDOM));
    }

    #[test]
    fn another_refresh_has_another() {
        let one = presented();
        let other = SessionRef { session: SessionId::from_bytes([3; 16]), ..one.session };
        let mut all = [
            one,
            Presented { session: other, ..one },
            Presented { generation: Generation(4), ..one },
            Presented { nonce: Nonce([5; 8]), ..one },
            Presented { attempt: AttemptHash::from_bytes([7; 8]), ..one },
            Presented { thumbprint: Some(Thumbprint([1; 32])), ..one },
            Presented { thumbprint: Some(Thumbprint([2; 32])), ..one },
        ]
        .iter()
        .map(|presented| nonce(presented, RANDOM))
        .collect::<Vec<_>>();
        all.push(RANDOM);
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn what_nothing_tells_from_another_is_random() {
        assert_eq!(nonce(&Presented { attempt: None, ..presented() }, RANDOM), RANDOM);
    }
}
