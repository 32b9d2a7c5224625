//! What people do about their own account.

pub mod me;
pub mod password;
pub mod register;
pub mod reset;
