//! What handlers take from a request: parsed, limited, refused with a documented problem.

pub mod bearer;
pub mod cookies;
pub mod header;
pub mod json;
mod names;
pub mod origin;
pub mod path;
pub mod query;
pub mod registration;
pub mod then;

pub use bearer::{AccessToken, Admin, LiveSession, OptionalBearer};
pub use cookies::Cookies;
pub use json::{Json, OptionalJson};
pub use origin::ClientOrigin;
pub use path::named;
pub use query::{NoParams, Query};
pub use registration::OpenRegistration;
pub use then::Then;
