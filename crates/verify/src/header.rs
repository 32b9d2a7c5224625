//! The protected header (RFC 7515, section 4): three members, and no others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::algorithm::Algorithm;

/// Longest value of a member, in bytes.
pub(crate) const MAX_MEMBER_LEN: usize = 64;

/// What a header may say. Whatever else it holds refuses the token: `crit` and `b64` because they would change how
/// the token is to be read, `jku`, `jwk`, `x5u` and `x5c` because a token must not choose its own key, and the rest
/// because our tokens have none of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: String,
    pub(crate) typ: Option<String>,
}

/// The header of the access tokens that a key of this id signs, encoded as it stands in them.
pub fn access_token_header(algorithm: Algorithm, kid: &str) -> String {
    let header = serde_json::json!({ "typ": "at+jwt", "alg": algorithm.name(), "kid": kid });
    URL_SAFE_NO_PAD.encode(header.to_string())
}

impl Header {
    /// Reads the header, or nothing if it is not what a header of ours can be.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        // A derived reader would also take the members in an array.
        if json.first() != Some(&b'{') {
            return None;
        }
        let header: Self = serde_json::from_slice(json).ok()?;
        let fits = |text: &str| text.len() <= MAX_MEMBER_LEN;
        let all_fit = fits(&header.alg) && fits(&header.kid) && header.typ.as_deref().is_none_or(fits);
        all_fit.then_some(header)
    }

    /// Whether the token says that it is an access token (RFC 9068, section 4; media types have no case).
    pub(crate) fn is_access_token(&self) -> bool {
        let media_types = ["at+jwt", "application/at+jwt"];
        self.typ.as_deref().is_some_and(|typ| media_types.iter().any(|known| known.eq_ignore_ascii_case(typ)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_members_in_any_order() {
        let header = Header::parse(br#"{"typ":"at+jwt","kid":"k","alg":"ES256"}"#).unwrap();
        assert_eq!((header.alg.as_str(), header.kid.as_str()), ("ES256", "k"));
        assert!(header.is_access_token());
    }

    #[test]
    fn any_other_header_is_refused() {
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(65));
        let wrong = [
            "",
            "{}",
            "[]",
            "null",
            r#""ES256""#,
            r#"["ES256","k","at+jwt"]"#,
            r#"{"alg":"ES256"}"#,
            r#"{"kid":"k"}"#,
            r#"{"alg":"ES256","kid":1}"#,
            r#"{"alg":null,"kid":"k"}"#,
            r#"{"alg":["ES256"],"kid":"k"}"#,
            r#"{"alg":"ES256","alg":"HS256","kid":"k"}"#,
            r#"{"alg":"ES256","kid":"k","kid":"k"}"#,
            r#"{"alg":"ES256","\u0061lg":"ES256","kid":"k"}"#,
            r#"{"alg":"ES256","kid":"k"}x"#,
            r#" {"alg":"ES256","kid":"k"}"#,
            r#"{"alg":"ES256","kid":"k","typ":1}"#,
            "{\"alg\":\"ES256\",\"kid\":\"\u{0}\"}",
            &long,
        ];
        for json in wrong {
            assert!(Header::parse(json.as_bytes()).is_none(), "{json}");
        }
        assert!(Header::parse(b"{\"alg\":\"ES256\",\"kid\":\"\xff\"}").is_none());
    }

    #[test]
    fn no_further_member_gets_through() {
        let members = [
            r#""jku":"https://evil.example/jwks""#,
            r#""jwk":{}"#,
            r#""x5u":"https://evil.example""#,
            r#""x5c":[]"#,
            r#""x5t":"""#,
            r#""x5t#S256":"""#,
            r#""crit":[]"#,
            r#""crit":["exp"]"#,
            r#""crit":"exp""#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""zip":"DEF""#,
            r#""cty":"JWT""#,
            r#""enc":"A128GCM""#,
            r#""nonce":"n""#,
            r#""Alg":"none""#,
        ];
        for member in members {
            let json = format!(r#"{{"alg":"ES256","kid":"k","typ":"at+jwt",{member}}}"#);
            assert!(Header::parse(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn only_access_tokens_are_access_tokens() {
        let with = |typ: &str| Header { alg: "ES256".into(), kid: "k".into(), typ: Some(typ.into()) };
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"] {
            assert!(with(typ).is_access_token(), "{typ}");
        }
        for typ in ["", "JWT", "jwt", "at+jwt ", "dpop+jwt", "logout+jwt", "secevent+jwt", "text/at+jwt"] {
            assert!(!with(typ).is_access_token(), "{typ}");
        }
        assert!(!Header { alg: "ES256".into(), kid: "k".into(), typ: None }.is_access_token());
    }
}
