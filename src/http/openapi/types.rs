//! What domain types look like in the document, for `value_type = …`. The domain itself knows nothing of it.

use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A session's public id: 32 bytes in base64url, so that the last character has four bits only.
#[derive(ToSchema)]
#[schema(
    pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
    examples("AaH9q2oHeG-ZftCuDiZGtvX0zhGwWUnUkyz7Cg9mQCQ")
)]
pub struct SessionId(pub String);

/// A role: 1 to 64 lower-case letters, digits, `_`, `-`, `.` or `:`.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_.:-]+$", examples("user"))]
pub struct Role(pub String);

/// How tokens reach the client, as a sign-in names it.
pub fn delivery() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["body", "hybrid", "cookie"]))
        .default(Some("body".into()))
        .description(Some(
            "How the tokens reach the client: `body`, both in the JSON; `hybrid`, the access token in the JSON and the \
             refresh token in a cookie; `cookie`, both in cookies.",
        ))
        .build()
}
