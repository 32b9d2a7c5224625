//! What happens around every handler.

pub mod cors;
pub mod crowding;
pub mod envelope;
pub mod limits;
pub mod recorded;
pub mod to_its_end;
pub mod unread;
