//! What domain types look like in the document, for `value_type = …`. The domain itself knows nothing of it.

use utoipa::ToSchema;

/// A session's public id.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9_-]{43}$", examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ"))]
pub struct SessionId(pub String);

/// A role: 1 to 64 lower-case letters, digits, `_`, `-`, `.` or `:`.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_.:-]+$", examples("user"))]
pub struct Role(pub String);
