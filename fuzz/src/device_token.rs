//! The device token and the token of a password reset, as text of a stranger and as bytes under a genuine MAC.

use relatch_domain::device_token::{DEVICE_LEN, DeviceToken, PasswordNumber};
use relatch_domain::reset_token::ResetToken;
use relatch_domain::{UnixSeconds, UserId};

use crate::macs;

/// Whatever opens is the one text of what it says. What was sealed opens, and no more so if a character is another.
pub fn look_at(data: &[u8]) {
    let ring = macs();
    let text = String::from_utf8_lossy(data);
    for text in [text.clone().into_owned(), format!("rld1_{text}")] {
        if let Some(token) = DeviceToken::open(&text, &ring) {
            assert_eq!(token.seal(&ring), text, "two texts of one token");
        }
    }
    for text in [text.clone().into_owned(), format!("rlp1_{text}")] {
        if let Some(token) = ResetToken::open(&text, &ring) {
            assert_eq!(token.seal(&ring), text, "two texts of one token");
        }
    }
    if let Some(token) = genuine(data) {
        let sealed = token.seal(&ring);
        assert_eq!(DeviceToken::open(&sealed, &ring), Some(token));
        let mut changed = sealed.clone().into_bytes();
        let at = usize::from(data[0]) % changed.len();
        changed[at] = data[1];
        if let Ok(changed) = String::from_utf8(changed)
            && changed != sealed
        {
            assert!(DeviceToken::open(&changed, &ring).is_none(), "a forged token was taken");
        }
    }
}

fn genuine(data: &[u8]) -> Option<DeviceToken> {
    let (user, rest) = data.split_first_chunk::<16>()?;
    let (device, rest) = rest.split_first_chunk::<DEVICE_LEN>()?;
    let (changes, rest) = rest.split_first_chunk::<4>()?;
    let issued_at = rest.first_chunk::<4>()?;
    Some(DeviceToken {
        user: UserId::from_bytes(*user),
        device: *device,
        password: PasswordNumber::after(UnixSeconds(0), u32::from_be_bytes(*changes)),
        issued_at: UnixSeconds(u32::from_be_bytes(*issued_at)),
    })
}
