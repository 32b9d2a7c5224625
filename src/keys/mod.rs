//! Keys and passwords: what proves who somebody is.

pub mod password;
