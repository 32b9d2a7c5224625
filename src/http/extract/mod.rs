//! What handlers take from a request: parsed, limited, refused with a documented problem.

pub mod bearer;
pub mod header;
pub mod json;
pub mod origin;
pub mod query;
pub mod then;

pub use bearer::{Admin, Bearer, LiveSession, OptionalBearer};
pub use json::{Json, OptionalJson};
pub use origin::ClientOrigin;
pub use query::{NoParams, Query};
pub use then::Then;
