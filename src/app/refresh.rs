//! Refresh: a pair of tokens for the pair that the client holds.
//!
//! It parses and checks both tokens, takes one step in the store, and mints. Only if that step is blocked does it
//! ask [`judge`] what became of the token, and carries the verdict out: a heal is a second write, on the condition
//! that the record is as it was seen; a reuse ends the session unconditionally.

use relatch_domain::attempt::AttemptKey;
use relatch_domain::event::Event;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::rotation::{self, Fresh, Presented, Verdict, judge};
use relatch_domain::session::{Delivery, EndReason, SessionRecord, Standing};

use super::issue::IssuedPair;
use super::origin::Origin;
use super::{App, Failure, ROUNDS};
use crate::store::{EndStep, Observation, RotateStep, Rotated, StoreError, SwapStep};

/// A refresh as a client asks for it.
pub struct RefreshRequest<'a> {
    /// The refresh token.
    pub refresh_token: &'a str,
    /// The access token of the pair, which may have expired.
    pub access_token: Option<&'a str>,
    /// The attempt key, if the client sends one.
    pub attempt: Option<AttemptKey>,
    /// How the tokens came.
    pub delivery: Delivery,
    /// Where from.
    pub origin: Origin,
}

/// What came of a refresh.
pub enum Refreshed {
    /// A new pair, or the same successor once more.
    Pair(Box<IssuedPair>),
    /// The refresh token is not one of ours.
    InvalidRefreshToken,
    /// The access token is missing though the configuration asks for it.
    AccessTokenMissing,
    /// The access token is not one of ours, or of another session.
    InvalidAccessToken,
    /// The rule of rotation refuses.
    Refused(Verdict),
}

/// Refreshes a pair.
///
/// # Errors
/// If the store fails, keys are missing, or the record changed three times between reading and writing it.
pub async fn refresh(app: &App, request: RefreshRequest<'_>) -> Result<Refreshed, Failure> {
    if app.policy.require_access_token && request.access_token.is_none() {
        return Ok(Refreshed::AccessTokenMissing);
    }
    let Ok(token) = RefreshToken::open(request.refresh_token, &app.macs) else {
        return Ok(Refreshed::InvalidRefreshToken);
    };
    if let Some(access_token) = request.access_token
        && app.origin_of(access_token).await? != Some(token.session)
    {
        return Ok(Refreshed::InvalidAccessToken);
    }
    let step = step(app, &token, &request)?;
    let settled = settle(app, &step, &request.origin).await?;
    let (session, presented, verdict) = (token.session, token.generation, settled.verdict);
    app.tell(&request.origin, &Event::Refreshed { session, presented, verdict }).await;
    conclude(app, &token, settled)
}

/// The step in the store, made once for this refresh.
fn step(app: &App, token: &RefreshToken, request: &RefreshRequest<'_>) -> Result<RotateStep, Failure> {
    let attempt = request.attempt.as_ref().map(|key| key.hash(token.session));
    Ok(RotateStep {
        presented: Presented::first_party(*token, attempt, request.delivery),
        fresh: Fresh {
            nonce: relatch_domain::Nonce(app.random.bytes()?),
            mac_key: app.macs.minting_id(),
            origin: request.origin.tag(),
        },
        policy: app.rotation_policy(),
    })
}

/// A verdict that has been carried out.
struct Settled {
    verdict: Verdict,
    /// The record from which to mint, if the verdict mints.
    record: Option<SessionRecord>,
    observed: Observation,
}

/// Takes the step; as long as it is blocked, has the verdict judged and carries it out.
async fn settle(app: &App, step: &RotateStep, origin: &Origin) -> Result<Settled, Failure> {
    let mut outcome = rotate(app, step).await?;
    for _ in 0..ROUNDS {
        let observed = match outcome {
            Rotated::Applied(observed) => return Ok(rotated(step, Verdict::Rotate, observed)),
            Rotated::Blocked(observed) => observed,
        };
        if let Some(record) = applied_before(step, &observed) {
            return Ok(Settled { verdict: Verdict::Rotate, record: Some(record), observed });
        }
        outcome = match judge(&observed.seen, &step.presented, observed.now, &step.policy) {
            // What blocked it is over: the clock went on, or somebody else's write was undone.
            Verdict::Rotate => rotate(app, step).await?,
            Verdict::Heal => match heal(app, step, &observed).await? {
                Rotated::Applied(_) => return Ok(rotated(step, Verdict::Heal, observed)),
                blocked @ Rotated::Blocked(_) => blocked,
            },
            Verdict::Reuse => {
                end_session(app, step, origin).await?;
                return Ok(Settled { verdict: Verdict::Reuse, record: None, observed });
            }
            verdict => return Ok(Settled { verdict, record: observed.seen.session, observed }),
        };
    }
    Err(Failure::Contended)
}

/// The ordinary step. If its answer is lost it is taken once more: should it have been applied the first time, the
/// record's nonce is ours ([`applied_before`]).
async fn rotate(app: &App, step: &RotateStep) -> Result<Rotated, StoreError> {
    match app.store.rotate(step).await {
        Err(StoreError::Indeterminate(_)) => app.store.rotate(step).await,
        answered => answered,
    }
}

/// The record, if this very step has written it though its answer never came.
fn applied_before(step: &RotateStep, observed: &Observation) -> Option<SessionRecord> {
    let record = observed.seen.session?;
    let ours = record.nonce == step.fresh.nonce;
    let goes_on = record.ended.is_none() && observed.seen.user == Standing::Enabled;
    (ours && goes_on).then_some(record)
}

fn rotated(step: &RotateStep, verdict: Verdict, observed: Observation) -> Settled {
    let record = observed
        .seen
        .session
        .map(|record| rotation::next(&record, &step.presented, &step.fresh, observed.now, &step.policy));
    Settled { verdict, record, observed }
}

async fn heal(app: &App, step: &RotateStep, observed: &Observation) -> Result<Rotated, Failure> {
    let Some(as_seen) = observed.seen.session else {
        return Err(Failure::Internal("a heal without a record".to_owned()));
    };
    let new = rotation::next(&as_seen, &step.presented, &step.fresh, observed.now, &step.policy);
    let swap = SwapStep { session: step.presented.session, as_seen, new };
    Ok(match app.store.swap(&swap).await {
        Err(StoreError::Indeterminate(_)) => app.store.swap(&swap).await,
        answered => answered,
    }?)
}

async fn end_session(app: &App, step: &RotateStep, origin: &Origin) -> Result<(), Failure> {
    let session = step.presented.session;
    let end = EndStep {
        user: session.user,
        scope: Scope::One(session.session),
        reason: EndReason::Reuse,
        note: origin.end_note(None),
    };
    let ended = app.store.end_sessions(&end).await?;
    if !ended.durable {
        tracing::warn!(%session, "a reuse was detected; its revocation has not reached enough replicas");
    }
    Ok(())
}

/// The answer to a verdict that has been carried out.
fn conclude(app: &App, token: &RefreshToken, settled: Settled) -> Result<Refreshed, Failure> {
    match (settled.verdict, settled.record, settled.observed.profile) {
        (Verdict::Rotate | Verdict::Retry | Verdict::Heal, Some(record), Some(profile)) => {
            let pair = app.issue(token.session, &record, &profile, settled.observed.now)?;
            Ok(Refreshed::Pair(Box::new(pair)))
        }
        (Verdict::Rotate | Verdict::Retry | Verdict::Heal, ..) => {
            Err(Failure::Internal("a verdict that mints, without a record or a user".to_owned()))
        }
        (verdict, ..) => Ok(Refreshed::Refused(verdict)),
    }
}
