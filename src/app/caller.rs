//! Who is calling: the access token that came with a request, verified here, and asked of the store where it matters.

use std::time::Duration;

use relatch_domain::event::Actor;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::session::{EndReason, SessionRecord, Standing};
use relatch_domain::user::Profile;
use relatch_domain::{ClientNumber, SessionRef, UnixMillis};
use relatch_verify::{AccessClaims, Refusal};

use super::{App, Failure};
use crate::keys::ring::KeyRing;
use crate::store::Observation;

/// A caller whose access token is good. Not asked of the store: the session may have been revoked since.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The caller's session.
    pub session: SessionRef,
    /// What the access token says.
    pub claims: AccessClaims,
}

/// A caller whose session the store knows to be alive.
#[derive(Debug)]
pub struct LiveCaller {
    /// The caller.
    pub caller: Caller,
    /// The session as the store has it now.
    pub record: SessionRecord,
    /// Name and roles as the store has them now.
    pub profile: Profile,
    /// The store's time.
    pub now: UnixMillis,
}

impl LiveCaller {
    /// The caller as the one who causes events.
    pub fn actor(&self) -> Actor {
        Actor::User(self.caller.session)
    }
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotLetIn {
    /// Not an access token of this server, or not for it.
    InvalidToken,
    /// The access token was ours and has expired, or is not for us or of our name and keys any more; a refresh gets a new one.
    TokenExpired,
    /// The session has ended or was never there.
    SessionRevoked(Option<EndReason>),
    /// The session is past a deadline.
    SessionExpired,
    /// The user is disabled or gone.
    UserDisabled,
    /// The session asks too often. The time after which it may ask again.
    TooOften(Duration),
}

impl App {
    /// Verifies an access token with the keys, the cutoffs and the revocations at hand; asks the store only for a key that it does not
    /// know.
    ///
    /// # Errors
    /// If the keys are not loaded, or an unknown key could not be looked for.
    pub async fn caller(&self, access_token: &str) -> Result<Result<Caller, NotLetIn>, Failure> {
        let caller = match self.holder(access_token).await? {
            Ok(caller) => caller,
            refused => return Ok(refused),
        };
        // All access tokens are those of the first-party client.
        let cutoff = self.node.cutoffs.of(ClientNumber::FIRST_PARTY);
        if let Some(reason) = cutoff.end_of(caller.session.session) {
            return Ok(Err(NotLetIn::SessionRevoked(Some(reason))));
        }
        Ok(match self.node.revocations.of(caller.session) {
            Some(remembered) => Err(remembered.refusal()),
            None => Ok(caller),
        })
    }

    /// Verifies an access token, whether or not its session is known to be over: one that is may still be signed out.
    ///
    /// A token of ours that is not good any more, or not under our present name, audience and keys, is said to have expired,
    /// whatever it is: a refresh renews it, and clients forget tokens that they are told to be no tokens of ours.
    ///
    /// # Errors
    /// As [`App::caller`].
    pub async fn holder(&self, access_token: &str) -> Result<Result<Caller, NotLetIn>, Failure> {
        let expected = self.issuer.expectations(self.clock.now());
        let memory = self.keys.signatures();
        let verify = |ring: &KeyRing| {
            match relatch_verify::verify_with(access_token, ring.verifying_keys(), &expected, memory) {
                Ok(claims) => Ok(Ok(claims)),
                // An unknown key may be one that was revoked.
                Err(
                    Refusal::UnknownKey(_)
                    | Refusal::Expired
                    | Refusal::WrongIssuer
                    | Refusal::WrongAudience
                    | Refusal::NotYetValid,
                ) => relatch_verify::verify_origin_with(access_token, ring.origin_keys(), memory).map(Err),
                Err(refusal) => Err(refusal),
            }
        };
        Ok(match self.with_known_key(verify).await? {
            Ok(Ok(claims)) => caller_of(claims),
            Ok(Err(outdated)) => caller_of(outdated).and(Err(NotLetIn::TokenExpired)),
            Err(_) => Err(NotLetIn::InvalidToken),
        })
    }

    /// Verifies that an access token was issued by this server, whenever, under whatever name and for whomever: the
    /// pair check, which asks signature, type, user and session only.
    ///
    /// # Errors
    /// If the keys are not loaded, or an unknown key could not be looked for.
    pub async fn origin_of(&self, access_token: &str) -> Result<Option<SessionRef>, Failure> {
        let verify = |ring: &KeyRing| {
            relatch_verify::verify_origin_with(access_token, ring.origin_keys(), self.keys.signatures())
        };
        let claims = self.with_known_key(verify).await?;
        Ok(claims.ok().and_then(|claims| session_of(&claims)))
    }

    /// Asks the store whether the caller's session is alive, and who the caller is now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn live(&self, caller: Caller) -> Result<Result<LiveCaller, NotLetIn>, Failure> {
        let observed = self.store.observe(caller.session).await?;
        let now = observed.now;
        let client = observed.seen.session.map(|record| record.client).unwrap_or_default();
        let policy = self.rotation_policy(client);
        let mut alive = match alive(observed.clone(), caller.session, &policy) {
            Err(NotLetIn::SessionRevoked(_) | NotLetIn::UserDisabled) => {
                Box::pin(self.reveal_observed(caller.session, &observed)).await?;
                alive(observed, caller.session, &policy)
            }
            alive => alive,
        };
        // A store that has lost the end of a session is not believed.
        if alive.is_ok()
            && let Some(remembered) = self.node.revocations.of(caller.session)
        {
            alive = Err(remembered.refusal());
        }
        Ok(alive.map(|(record, profile)| LiveCaller { caller, record, profile, now }))
    }

    /// Runs a verification; if it fails for an unknown key, loads the keys anew, once, and runs it again.
    ///
    /// # Errors
    /// If the keys are not loaded, or the unknown key may be a new one and could not be looked for.
    async fn with_known_key<T>(
        &self,
        verify: impl Fn(&KeyRing) -> Result<T, Refusal>,
    ) -> Result<Result<T, Refusal>, Failure> {
        let verified = verify(&*self.ring()?);
        let Err(Refusal::UnknownKey(kid)) = &verified else {
            return Ok(verified);
        };
        Box::pin(self.keys.reload_for_unknown_kid(&*self.store, kid, self.clock.now())).await?;
        Ok(verify(&*self.ring()?))
    }
}

fn caller_of(claims: AccessClaims) -> Result<Caller, NotLetIn> {
    let session = session_of(&claims).ok_or(NotLetIn::InvalidToken)?;
    Ok(Caller { session, claims })
}

/// The session that a token names, if it is one of the user whom the token names.
fn session_of(claims: &AccessClaims) -> Option<SessionRef> {
    let session: SessionRef = claims.sid.parse().ok()?;
    (session.user.to_string() == claims.sub).then_some(session)
}

/// The session as it is judged, if it is alive, and its user.
fn alive(
    observed: Observation,
    session: SessionRef,
    policy: &RotationPolicy,
) -> Result<(SessionRecord, Profile), NotLetIn> {
    let Some(record) = observed.seen.session else { return Err(NotLetIn::SessionRevoked(None)) };
    let record = record.bounded_by(policy);
    if observed.seen.user != Standing::Enabled {
        return Err(NotLetIn::UserDisabled);
    }
    if let Some(ended) = record.ended {
        return Err(NotLetIn::SessionRevoked(Some(ended.reason)));
    }
    if let Some(reason) = policy.cutoff.end_of(session.session) {
        return Err(NotLetIn::SessionRevoked(Some(reason)));
    }
    if !record.is_live(observed.now) {
        return Err(NotLetIn::SessionExpired);
    }
    observed.profile.map(|profile| (record, profile)).ok_or(NotLetIn::UserDisabled)
}
