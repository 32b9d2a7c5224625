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
use relatch_domain::successor;
use relatch_domain::{Nonce, SessionRef};

use super::history::{self, last_holder};
use super::issue::IssuedPair;
use super::operation::End;
use super::origin::Origin;
use super::revocations::Remembered;
use super::sessions::end;
use super::{App, Failure, ROUNDS};
use crate::store::{EndNote, Observation, Party, RotateStep, Rotated, StoreError, SwapStep};

/// A refresh as a client asks for it.
pub struct RefreshRequest<'a> {
    /// The refresh token.
    pub refresh_token: &'a str,
    /// The access token of the pair, which may have expired, and how both came.
    pub way: Way<'a>,
    /// The attempt key, if the client sends one.
    pub attempt: Option<AttemptKey>,
    /// Where from.
    pub origin: Origin,
}

/// How a client presents a pair of tokens.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// The client sends the refresh token itself.
    Written {
        /// The access token.
        access_token: Option<&'a str>,
    },
    /// The browser sends the refresh token in its cookie.
    Cookies {
        /// The access token that the client sends itself. It wins.
        bearer: Option<&'a str>,
        /// The access token in the cookie of delivery `hybrid`.
        pair: Option<&'a str>,
        /// The access token in the cookie of delivery `cookie`.
        access: Option<&'a str>,
    },
}

impl<'a> Way<'a> {
    const fn has_access_token(self) -> bool {
        match self {
            Self::Written { access_token } => access_token.is_some(),
            Self::Cookies { bearer, pair, access } => bearer.is_some() || pair.is_some() || access.is_some(),
        }
    }

    /// The delivery of which the tokens came, and the access token. A browser may carry the access cookies of two
    /// deliveries, one of them left over: then the one that belongs to the refresh token's session tells.
    async fn told(self, app: &App, session: SessionRef) -> Result<(Delivery, Option<&'a str>), Failure> {
        let (bearer, pair, access) = match self {
            Self::Written { access_token } => return Ok((Delivery::Body, access_token)),
            Self::Cookies { bearer, pair, access } => (bearer, pair, access),
        };
        let (delivery, in_cookie) = match (pair, access) {
            (Some(pair), Some(access)) => {
                let left_over = app.origin_of(pair).await? != Some(session);
                if left_over && app.origin_of(access).await? == Some(session) {
                    (Delivery::Cookie, Some(access))
                } else {
                    (Delivery::Hybrid, Some(pair))
                }
            }
            (None, Some(access)) => (Delivery::Cookie, Some(access)),
            (pair, None) => (Delivery::Hybrid, pair),
        };
        Ok((delivery, bearer.or(in_cookie)))
    }
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
    if app.policy.require_access_token && !request.way.has_access_token() {
        return Ok(Refreshed::AccessTokenMissing);
    }
    let Ok(token) = RefreshToken::open(request.refresh_token, &app.macs) else {
        return Ok(Refreshed::InvalidRefreshToken);
    };
    // Without the keys the cutoff is not known either, and nothing could be minted from what is rotated.
    app.ring()?;
    let (delivery, access_token) = request.way.told(app, token.session).await?;
    if let Some(access_token) = access_token
        && app.origin_of(access_token).await? != Some(token.session)
    {
        return Ok(Refreshed::InvalidAccessToken);
    }
    if let Err(wait) = app.may_refresh(token.session) {
        return Ok(Refreshed::Refused(Verdict::Throttled(wait)));
    }
    let step = step(app, &token, delivery, &request)?;
    let settled = match app.node.revocations.of(token.session) {
        Some(remembered) => Box::pin(known_to_be_over(app, &step, remembered)).await?,
        None => settle(app, &step, &request.origin).await?,
    };
    let other = settled.other.clone();
    let (session, presented, verdict) = (token.session, token.generation, settled.verdict);
    if matches!(verdict, Verdict::Revoked(_) | Verdict::Disabled | Verdict::Unknown) {
        Box::pin(app.reveal_observed(session, &settled.observed)).await?;
    }
    if matches!(verdict, Verdict::Retry | Verdict::Superseded) {
        app.has_repeated(session);
    }
    let moved = settled.observed.seen.session.is_some_and(|record| record.origin != step.fresh.origin);
    let now = settled.observed.now;
    let told = history::Presented { session, generation: presented, verdict, moved, now };
    app.remember_refresh(&request.origin, &told);
    app.tell(&request.origin, &Event::Refreshed { session, presented, verdict, other }).await;
    conclude(app, &token, settled)
}

/// The step in the store, made once for this refresh.
fn step(
    app: &App,
    token: &RefreshToken,
    delivery: Delivery,
    request: &RefreshRequest<'_>,
) -> Result<RotateStep, Failure> {
    let attempt = request.attempt.as_ref().map(|key| key.hash(token.session));
    let presented = Presented::first_party(*token, attempt, delivery);
    Ok(RotateStep {
        presented,
        fresh: Fresh {
            nonce: successor::nonce(&presented, Nonce(app.random.bytes()?)),
            mac_key: app.macs.minting_id(),
            origin: request.origin.tag(),
        },
        policy: app.rotation_policy(presented.client),
    })
}

/// A verdict that has been carried out.
struct Settled {
    verdict: Verdict,
    /// The record from which to mint, if the verdict mints.
    record: Option<SessionRecord>,
    observed: Observation,
    /// Of a reuse: who had refreshed last.
    other: Option<Party>,
}

impl Settled {
    fn of(verdict: Verdict, record: Option<SessionRecord>, observed: Observation) -> Self {
        Self { verdict, record, observed, other: None }
    }
}

/// What becomes of a refresh of a session that this node knows to be over. Nothing is rotated; a store that has lost the
/// end gets it again.
async fn known_to_be_over(app: &App, step: &RotateStep, remembered: Remembered) -> Result<Settled, Failure> {
    let session = step.presented.session;
    let observed = app.store.observe(session).await?;
    let Some(record) = observed.seen.session.filter(|record| record.ended.is_none()) else {
        let verdict = judge(&observed.seen, &step.presented, observed.now, &step.policy);
        return Ok(Settled::of(verdict, None, observed));
    };
    tracing::warn!(%session, generation = record.generation.0, "the store had lost a revocation");
    app.make_durable(session).await?;
    remembered.hold_again(&*app.store, session).await?;
    Ok(Settled::of(remembered.verdict(), None, observed))
}

/// Takes the step. What is to be done if it is blocked has a box of its own: it would make each refresh's future larger.
async fn settle(app: &App, step: &RotateStep, origin: &Origin) -> Result<Settled, Failure> {
    let mut lost = false;
    match rotate(app, step, &mut lost).await? {
        Rotated::Applied(observed) => Ok(rotated(step, Verdict::Rotate, observed)),
        blocked @ Rotated::Blocked(_) => Box::pin(settle_blocked(app, step, origin, blocked, lost)).await,
    }
}

/// As long as the step is blocked, has the verdict judged and carries it out.
async fn settle_blocked(
    app: &App,
    step: &RotateStep,
    origin: &Origin,
    mut outcome: Rotated,
    mut lost: bool,
) -> Result<Settled, Failure> {
    for _ in 0..ROUNDS {
        let observed = match outcome {
            Rotated::Applied(observed) => return Ok(rotated(step, Verdict::Rotate, observed)),
            Rotated::Blocked(observed) => observed,
        };
        if lost && let Some(record) = applied_before(step, &observed) {
            return Ok(Settled::of(Verdict::Rotate, Some(record), observed));
        }
        outcome = match judge(&observed.seen, &step.presented, observed.now, &step.policy) {
            // What blocked it is over: the clock went on, or somebody else's write was undone.
            Verdict::Rotate => rotate(app, step, &mut lost).await?,
            Verdict::Heal => match heal(app, step, &observed, &mut lost).await? {
                Rotated::Applied(_) => return Ok(rotated(step, Verdict::Heal, observed)),
                blocked @ Rotated::Blocked(_) => blocked,
            },
            Verdict::Reuse => {
                let other = other_party(app, step.presented.session).await;
                end_session(app, step, origin, other.clone()).await?;
                return Ok(Settled { other, ..Settled::of(Verdict::Reuse, None, observed) });
            }
            verdict => return Ok(Settled::of(verdict, observed.seen.session, observed)),
        };
    }
    Err(Failure::Contended)
}

/// The ordinary step. If its answer is lost it is taken once more, and `lost` says so: should it have been applied the
/// first time, the record's nonce is ours ([`applied_before`]).
async fn rotate(app: &App, step: &RotateStep, lost: &mut bool) -> Result<Rotated, StoreError> {
    match app.store.rotate(step).await {
        Err(StoreError::Indeterminate(_)) => {
            *lost = true;
            app.store.rotate(step).await
        }
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
    Settled::of(verdict, record, observed)
}

async fn heal(
    app: &App,
    step: &RotateStep,
    observed: &Observation,
    lost: &mut bool,
) -> Result<Rotated, Failure> {
    let Some(as_seen) = observed.seen.session else {
        return Err(Failure::Internal("a heal without a record".to_owned()));
    };
    let new = rotation::next(&as_seen, &step.presented, &step.fresh, observed.now, &step.policy);
    let swap = SwapStep { session: step.presented.session, as_seen, new };
    Ok(match app.store.swap(&swap).await {
        Err(StoreError::Indeterminate(_)) => {
            *lost = true;
            app.store.swap(&swap).await
        }
        answered => answered,
    }?)
}

/// Ends the session, which is live.
async fn end_session(
    app: &App,
    step: &RotateStep,
    origin: &Origin,
    other: Option<Party>,
) -> Result<(), Failure> {
    let SessionRef { user, session } = step.presented.session;
    let note = EndNote { other, ..origin.end_note(Some(user), None) };
    let (scope, reason, sessions) = (Scope::One(session), EndReason::Reuse, vec![(session, true)]);
    let ended = end(app, origin, End { user, scope, begun_before: None, reason, note, sessions }).await?;
    if !ended.in_force {
        let session = step.presented.session;
        tracing::warn!(%session, "a reuse was detected; its revocation has not reached enough replicas");
    }
    Ok(())
}

/// Who refreshed the session last: the other one of the two who hold its tokens. To be told of, nothing depends on it.
async fn other_party(app: &App, session: SessionRef) -> Option<Party> {
    let all = app.store.sessions_of(session.user).await.ok()?;
    let stored = all.sessions.into_iter().find(|stored| stored.id == session.session)?;
    let history = app.store.history(session).await.unwrap_or_default();
    last_holder(&stored, &history)
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
