//! The four calls of a client's life: sign in, refresh, check, sign out.

pub mod check;
pub mod deliver;
pub mod described;
pub mod login;
pub mod logout;
pub mod refresh;
