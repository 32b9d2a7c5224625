//! A stored password hash, as an import or another hand might have brought it.

use relatch::keys::password::{Cost, PasswordHash, needs_rehash};
use relatch_domain::password_rules::Password;

/// What can be read has bounded work and no password that was not asked for. Only cheap ones are verified: at the cost
/// of the others a fuzzer would do nothing else.
pub fn look_at(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(hash) = PasswordHash::parse(&text) else { return };
    assert!(hash.cost().is_none_or(|cost| (Cost::MIN..=Cost::MAX).contains(&cost)));
    let _ = needs_rehash(&text, Cost::MIN);
    if hash.cost() == Some(Cost::MIN) {
        let password = Password::parse("nobody has this password").expect("a password");
        assert!(!hash.verify(&password));
    }
}
