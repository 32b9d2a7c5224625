//! Access tokens as cheaply as the server could make them: the key parsed once, the header rendered once.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use clap::ValueEnum;
use jsonwebtoken::DecodingKey;
use relatch_domain::base64url;
use serde::Serialize;

use super::random;
use crate::Error;

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    #[value(name = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256 and SHA-256 (RFC 7518, section 3.4).
    #[value(name = "ES256")]
    Es256,
    /// HMAC with SHA-256 (RFC 7518, section 3.2).
    #[value(name = "HS256")]
    Hs256,
}

/// The server's claims, so that as many bytes are signed and sent.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    /// Issuer.
    pub iss: &'a str,
    /// Audience.
    pub aud: &'a str,
    /// The user's id.
    pub sub: String,
    /// The session's public id.
    pub sid: &'a str,
    /// Unique id of the token.
    pub jti: String,
    /// The client.
    pub client_id: &'a str,
    /// Time of issue, seconds since the Unix epoch.
    pub iat: u32,
    /// End of life, seconds since the Unix epoch.
    pub exp: u32,
    /// When the user signed in, seconds since the Unix epoch.
    pub auth_time: u32,
    /// The user's roles.
    pub roles: [&'a str; 1],
    /// The user's name.
    pub preferred_username: &'a str,
}

enum Signer {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Hs256(Box<hmac::Key>),
}

/// Mints access tokens and knows its own again.
pub struct AccessTokens {
    signer: Signer,
    verifying: DecodingKey,
    algorithm: jsonwebtoken::Algorithm,
    header: String,
}

impl AccessTokens {
    /// With a fresh key, which lives as long as the process.
    ///
    /// # Errors
    /// If there is no randomness to make a key of.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let (signer, verifying, name) = match algorithm {
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::generate()?;
                let public = DecodingKey::from_ed_der(key.public_key().as_ref());
                (Signer::EdDsa(key), public, jsonwebtoken::Algorithm::EdDSA)
            }
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                let public = DecodingKey::from_ec_der(key.public_key().as_ref());
                (Signer::Es256(key), public, jsonwebtoken::Algorithm::ES256)
            }
            Algorithm::Hs256 => {
                let secret: [u8; 32] = random()?;
                let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret));
                (Signer::Hs256(key), DecodingKey::from_secret(&secret), jsonwebtoken::Algorithm::HS256)
            }
        };
        let kid = base64url::encode(&random::<32>()?);
        let header = serde_json::json!({ "alg": name, "typ": "at+jwt", "kid": kid });
        Ok(Self {
            signer,
            verifying,
            algorithm: name,
            header: base64url::encode(&serde_json::to_vec(&header)?),
        })
    }

    /// A signed token in compact form (RFC 7515, section 3.1).
    ///
    /// # Errors
    /// If signing fails.
    pub fn mint(&self, claims: &Claims<'_>) -> Result<String, Error> {
        let mut token = String::with_capacity(768);
        token.push_str(&self.header);
        token.push('.');
        token.push_str(&base64url::encode(&serde_json::to_vec(claims)?));
        let signature = match &self.signer {
            Signer::EdDsa(key) => base64url::encode(key.sign(token.as_bytes()).as_ref()),
            Signer::Es256(key) => {
                base64url::encode(key.sign(&SystemRandom::new(), token.as_bytes())?.as_ref())
            }
            Signer::Hs256(key) => base64url::encode(hmac::sign(key, token.as_bytes()).as_ref()),
        };
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// Whether the signature is ours. The claims are not read.
    pub fn is_genuine(&self, token: &str) -> bool {
        token.rsplit_once('.').is_some_and(|(message, signature)| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.verifying, self.algorithm)
                .unwrap_or(false)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(sid: &str) -> Claims<'_> {
        Claims {
            iss: "http://localhost",
            aud: "http://localhost",
            sub: "user".to_owned(),
            sid,
            jti: "token".to_owned(),
            client_id: "relatch",
            iat: 1,
            exp: 2,
            auth_time: 1,
            roles: ["user"],
            preferred_username: "ada",
        }
    }

    #[test]
    fn a_token_is_genuine_under_its_own_key_only() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Hs256] {
            let ours = AccessTokens::generate(algorithm).unwrap();
            let others = AccessTokens::generate(algorithm).unwrap();
            let token = ours.mint(&claims("session")).unwrap();
            assert!(ours.is_genuine(&token), "{algorithm:?}");
            assert!(!others.is_genuine(&token), "{algorithm:?}");
            let (message, signature) = token.rsplit_once('.').unwrap();
            assert!(!ours.is_genuine(&format!("{message}x.{signature}")), "{algorithm:?}");
        }
    }
}
