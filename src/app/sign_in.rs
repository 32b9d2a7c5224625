//! Sign-in: a new session for a user name and a password.

use relatch_domain::event::{Event, SignInFailure};
use relatch_domain::ids::ClientNumber;
use relatch_domain::password_rules::Password;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{Authentication, Delivery, EndReason, SessionRecord};
use relatch_domain::sign_in::{Change, NewSession, first_record, make_room, spare_room};
use relatch_domain::user::{User, Username};
use relatch_domain::{Nonce, SessionId, SessionRef};

use super::issue::IssuedPair;
use super::origin::Origin;
use super::sessions::end_sessions;
use super::{App, Failure};
use crate::store::{BeginStep, Begun, SessionDetails, UserSessions};
use crate::telemetry;

/// A sign-in as a client asks for it.
pub struct SignIn<'a> {
    /// The user name as typed.
    pub username: &'a str,
    /// The password as typed.
    pub password: &'a str,
    /// What the user calls the device.
    pub device_name: Option<String>,
    /// How tokens shall reach the client.
    pub delivery: Delivery,
    /// If the access token shall travel in a cookie: the longest one that fits there, in bytes.
    pub cookie_room: Option<usize>,
    /// The refresh token of an earlier sign-in by the same browser, whose cookies are about to be replaced.
    pub earlier: Option<&'a str>,
    /// Where from.
    pub origin: Origin,
}

/// What came of a sign-in.
pub enum SignedIn {
    /// A new session.
    Yes(Box<(User, IssuedPair)>),
    /// The user is right, but the access token would not fit its cookie: no session has begun.
    TooLarge,
    /// Unknown user, wrong password or disabled user. Clients get one answer for all of them, in the same time.
    No,
}

/// How often a sign-in tries to begin its session. In each round of a crowd one gets through, and next to the password's
/// hash, which the loser would have to pay once more, a round costs nothing.
const BEGIN_ROUNDS: usize = 8;

/// Signs a user in.
///
/// # Errors
/// If the store fails, keys are missing, the hashing queue is full, or others signed the same user in each time between
/// reading and writing the sessions.
pub async fn sign_in(app: &App, request: SignIn<'_>) -> Result<SignedIn, Failure> {
    app.ring()?;
    let user = match check(app, &request).await? {
        Ok(user) => user,
        Err(event) => {
            telemetry::record(&request.origin, &event);
            return Ok(SignedIn::No);
        }
    };
    let earlier = request.earlier.and_then(|token| RefreshToken::open(token, &app.macs).ok());
    let earlier = earlier.map(|token| token.session);
    let Some(pair) = begin(app, &user, &request, earlier).await? else {
        tracing::warn!(user = %user.id, "no sign-in: the access token would not fit a cookie");
        return Ok(SignedIn::TooLarge);
    };
    telemetry::record(&request.origin, &Event::SignedIn { session: pair.session });
    // One of the same user has made room for the new session already.
    if let Some(earlier) = earlier.filter(|earlier| earlier.user != user.id) {
        replace(app, &request.origin, earlier).await;
    }
    Ok(SignedIn::Yes(Box::new((user, pair))))
}

/// Ends another user's session, whose cookies the browser is about to lose (OWASP ASVS 5.0, 7.2.4). Should it fail, the
/// sign-in stands: the browser has that session's tokens no more.
async fn replace(app: &App, origin: &Origin, earlier: SessionRef) {
    let scope = Scope::One(earlier.session);
    let ended = end_sessions(app, origin, earlier.user, scope, EndReason::Replaced, None).await;
    if let Err(error) = ended {
        tracing::warn!(session = %earlier, %error, "a replaced session could not be ended");
    }
}

/// Checks name and password. One password is hashed whatever comes, so that time tells nothing.
async fn check(app: &App, request: &SignIn<'_>) -> Result<Result<User, Event>, Failure> {
    let credentials = match request.username.parse::<Username>() {
        Ok(name) => app.store.credentials(&name).await?,
        Err(_) => None,
    };
    let (user, hash) = match credentials {
        Some(credentials) => (Some(credentials.user), credentials.password_hash),
        None => (None, None),
    };
    let right = match Password::parse(request.password) {
        Ok(password) => app.hasher.verify(password, hash).await?,
        // Nobody has such a password.
        Err(_) => app.hasher.refuse().await?,
    };
    let failed = |user, failure| Ok(Err(Event::SignInFailed { user, failure }));
    match user {
        None => failed(None, SignInFailure::UnknownUser),
        Some(user) if !right => failed(Some(user.id), SignInFailure::WrongPassword),
        Some(user) if user.disabled => failed(Some(user.id), SignInFailure::Disabled),
        Some(user) => Ok(Ok(user)),
    }
}

/// Begins the session, making room for it among the user's others. Its tokens are made before it begins: if they cannot
/// be delivered there is no session, and nothing is given.
async fn begin(
    app: &App,
    user: &User,
    request: &SignIn<'_>,
    earlier: Option<SessionRef>,
) -> Result<Option<IssuedPair>, Failure> {
    let new = NewSession {
        nonce: Nonce(app.random.bytes()?),
        mac_key: app.macs.minting_id(),
        delivery: request.delivery,
        authentication: Authentication::Password,
        client: ClientNumber::FIRST_PARTY,
        dpop_bound: false,
        origin: request.origin.tag(),
    };
    for _ in 0..BEGIN_ROUNDS {
        let session = SessionRef { user: user.id, session: app.random.session_id()? };
        let existing = app.store.sessions_of(user.id).await?;
        let record = first_record(&new, existing.now, &app.policy.rotation);
        let pair = app.issue(session, &record, &user.profile, record.rotated_at)?;
        if request.cookie_room.is_some_and(|room| pair.access.token.len() > room) {
            return Ok(None);
        }
        let earlier = earlier.filter(|earlier| earlier.user == user.id).map(|earlier| earlier.session);
        let (changes, max_found) = room(app, &existing, earlier);
        let step =
            BeginStep { session, record, details: details(request), thumbprint: None, changes, max_found };
        if app.store.begin_session(&step).await? == Begun::Begun {
            tell_replaced(&request.origin, &step);
            return Ok(Some(pair));
        }
    }
    Err(Failure::Contended)
}

/// Tells of the sessions that ended to make room.
fn tell_replaced(origin: &Origin, step: &BeginStep) {
    let user = step.session.user;
    for (session, _, change) in &step.changes {
        let session = SessionRef { user, session: *session };
        if let Change::Replace(_) = change {
            telemetry::record(origin, &Event::SessionEnded { session, reason: EndReason::Replaced });
        }
    }
}

/// The sessions that change to make room, and how many records there may be when the room is made.
fn room(
    app: &App,
    existing: &UserSessions,
    earlier: Option<SessionId>,
) -> (Vec<(SessionId, SessionRecord, Change)>, usize) {
    let records: Vec<_> = existing.sessions.iter().map(|session| (session.id, session.record)).collect();
    let as_seen = |id: SessionId| records.iter().find(|(other, _)| *other == id).map(|(_, record)| *record);
    let changes = make_room(&records, earlier, existing.now, &app.policy.limits)
        .into_iter()
        .filter_map(|(id, change)| Some((id, as_seen(id)?, change)))
        .collect();
    let spare = spare_room(&records, earlier, existing.now, &app.policy.limits);
    (changes, records.len() + existing.corrupt + spare)
}

fn details(request: &SignIn<'_>) -> SessionDetails {
    SessionDetails {
        device_name: request.device_name.clone(),
        user_agent: request.origin.user_agent.clone(),
        address: request.origin.address.map(|address| address.to_canonical().to_string()),
    }
}
