//! The refresh token, as text of a stranger and as bytes under a genuine MAC.

use relatch_domain::refresh_token::{PREFIX, RefreshToken, TEXT_LEN};
use relatch_domain::{Generation, Nonce, SessionId, SessionRef, UnixSeconds, UserId};

use crate::{MAC_KEY, macs};

/// Whatever opens is the one text of what it says. What was sealed opens, and no more so if a character is another.
pub fn look_at(data: &[u8]) {
    let ring = macs();
    let text = String::from_utf8_lossy(data);
    for text in [text.clone().into_owned(), format!("{PREFIX}{text}")] {
        if let Ok(token) = RefreshToken::open(&text, &ring) {
            let sealed = token.seal(MAC_KEY, &ring).expect("the key that it was opened with");
            assert_eq!(*sealed, text, "two texts of one token");
        }
    }
    if let Some(token) = genuine(data) {
        let sealed = token.seal(MAC_KEY, &ring).expect("a key of the ring");
        assert_eq!(RefreshToken::open(&sealed, &ring), Ok(token));
        let mut changed = sealed.as_bytes().to_vec();
        let at = usize::from(data[0]) % TEXT_LEN;
        changed[at] = data[1];
        if let Ok(changed) = String::from_utf8(changed)
            && changed != *sealed
        {
            assert!(RefreshToken::open(&changed, &ring).is_err(), "a forged token was taken");
        }
    }
}

fn genuine(data: &[u8]) -> Option<RefreshToken> {
    let (user, rest) = data.split_first_chunk::<16>()?;
    let (session, rest) = rest.split_first_chunk::<16>()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let (nonce, rest) = rest.split_first_chunk::<8>()?;
    let issued_at = rest.first_chunk::<4>()?;
    Some(RefreshToken {
        session: SessionRef { user: UserId::from_bytes(*user), session: SessionId::from_bytes(*session) },
        generation: Generation(u32::from_be_bytes(*generation)),
        nonce: Nonce(*nonce),
        issued_at: UnixSeconds(u32::from_be_bytes(*issued_at)),
    })
}
