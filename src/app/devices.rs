//! Devices on which a user has signed in before, known by their tokens.

use relatch_domain::UserId;
use relatch_domain::device_token::{DEVICE_LEN, DeviceToken, PasswordNumber};

use super::App;
use crate::store::Credentials;

/// How long a device is known after the last sign-in on it, in seconds: 400 days, as long as browsers keep a cookie.
pub const DEVICE_TOKEN_TTL: u32 = 400 * 86_400;

impl App {
    /// Whether a device is known for this user: by a sign-in, or a change of the password, since the password became the
    /// present one. Any other token counts for nothing.
    pub(super) fn is_known(&self, device: &DeviceToken, found: &Credentials) -> bool {
        let age = self.clock.now().seconds().0.saturating_sub(device.issued_at.0);
        let is_of_this_password = device.password == found.password_number();
        device.user == found.user.id && is_of_this_password && age < DEVICE_TOKEN_TTL
    }

    /// A token by which a device is known from now on, as long as the password is the one of this number.
    pub(super) fn device_token(
        &self,
        user: UserId,
        device: [u8; DEVICE_LEN],
        password: PasswordNumber,
    ) -> String {
        let issued_at = self.clock.now().seconds();
        DeviceToken { user, device, password, issued_at }.seal(&self.macs)
    }
}
