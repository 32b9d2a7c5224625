//! Sign-in: a new session for a user name and a password.

use std::time::Duration;

use relatch_domain::device_token::DeviceToken;
use relatch_domain::event::{Actor, Event, SignInFailure};
use relatch_domain::ids::ClientNumber;
use relatch_domain::password_rules::Password;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{Authentication, Delivery, EndReason, SessionRecord};
use relatch_domain::sign_in::{Change, NewSession, first_record, make_room, spare_room};
use relatch_domain::user::{User, Username};
use relatch_domain::{Nonce, SessionId, SessionRef};

use super::guesses::Counted;
use super::issue::IssuedPair;
use super::node::StoreKind;
use super::operation::{Done, Operation, What};
use super::origin::Origin;
use super::rehash::rehash;
use super::sessions::end_sessions;
use super::{App, Failure};
use crate::keys::password::{Admission, Permit};
use crate::store::{BeginStep, Begun, Credentials, SessionDetails, StoredSession, UserSessions};

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
    /// The device token of an earlier sign-in on the same device.
    pub device_token: Option<&'a str>,
    /// The refresh token of an earlier sign-in by the same browser, whose cookies are about to be replaced.
    pub earlier: Option<&'a str>,
    /// Where from.
    pub origin: Origin,
}

/// What came of a sign-in.
pub enum SignedIn {
    /// A new session, and the token by which the device will be known.
    Yes(Box<(User, IssuedPair, String)>),
    /// There were too many failures: nothing was looked at, and the next try has to wait so long.
    TooMany(Duration),
    /// The account has signed in too often: no session has begun, and the
    /// next sign-in has to wait so long.
    TooOften(Duration),
    /// The user is right, but the access token would not fit its cookie: no session has begun.
    TooLarge,
    /// Unknown user, wrong password or disabled user. Clients get one answer for all of them, in the same time.
    No,
}

/// How often the password is checked, should the user change each time before the session begins. A password that was
/// right a moment ago is checked once more, against the one that the user has by then.
const CHECKS: usize = 2;

/// How often a sign-in tries to begin its session. In each round one gets through of those that meet, which are one of each node at
/// most from the second round on. Next to the password's hash, which the loser would have to pay once more, a round costs
/// nothing.
const BEGIN_ROUNDS: usize = 32;

/// Signs a user in.
///
/// # Errors
/// If the store fails, keys are missing, the hashing queue is full, others signed the same user in each time between
/// reading and writing the sessions, or the user was changed each time between checking and writing.
pub async fn sign_in(app: &App, request: SignIn<'_>) -> Result<SignedIn, Failure> {
    app.ring()?;
    let parsed = request.username.parse::<Username>().ok();
    // What failures are counted for: the user's name or, if that cannot be a name, what was typed.
    let name = parsed.as_ref().map_or(request.username, Username::as_str);
    // Opened whether or not there is such a user, so that the time is the same.
    let device = request.device_token.and_then(|token| DeviceToken::open(token, &app.macs));
    // Before anything is looked up: under load most are refused here.
    let mut admission = match &device {
        Some(device) => app.admit_owner(device.user, &request.origin)?,
        None => app.admit_account(name, &request.origin)?,
    };
    let asked = Asked::of(app, parsed.as_ref(), device).await?;
    if device.is_some() && asked.known.is_none() {
        drop(admission);
        admission = app.admit_account(name, &request.origin)?;
    }
    // An attempt counts from here until it has succeeded. Those that still wait in the queue do not count.
    let permit = admission.permit().await?;
    let counted = match app.count_sign_in(name, asked.known.as_ref(), &request.origin).await? {
        Ok(counted) => counted,
        Err(wait) => {
            drop(permit);
            let (user, failure) = (asked.credentials.map(|found| found.user.id), SignInFailure::TooMany);
            app.tell(&request.origin, &Event::SignInFailed { user, failure }).await;
            return Ok(SignedIn::TooMany(wait));
        }
    };
    let checked = match check_first(app, &request, asked.credentials, permit, counted).await? {
        Ok(checked) => checked,
        Err(refused) => return Ok(refused),
    };
    begin_checked(app, request, checked, asked.known, &admission).await
}

/// A sign-in, as far as it is known before a password is looked at.
struct Asked {
    credentials: Option<Credentials>,
    /// The device, if the user has signed in on it before.
    known: Option<DeviceToken>,
}

impl Asked {
    async fn of(app: &App, name: Option<&Username>, device: Option<DeviceToken>) -> Result<Self, Failure> {
        let credentials = match name {
            Some(name) => app.store.credentials(name).await?,
            None => None,
        };
        let known =
            device.filter(|device| credentials.as_ref().is_some_and(|found| app.is_known(device, found)));
        Ok(Self { credentials, known })
    }
}

/// Checks the password for the first time, and counts what comes of it. The inner error is the answer.
async fn check_first(
    app: &App,
    request: &SignIn<'_>,
    credentials: Option<Credentials>,
    permit: Permit,
    counted: Counted,
) -> Result<Result<Credentials, SignedIn>, Failure> {
    let checked = check(permit, request, credentials).await;
    // Before the session begins: other attempts at the account must not wait for that.
    if !matches!(checked, Ok(Err(_))) {
        app.take_back(counted).await;
    }
    let (event, answer) = match checked? {
        Ok(checked) => match app.count_success(checked.user.id) {
            Ok(()) => return Ok(Ok(checked)),
            // Only a caller that knows the password is told.
            Err(wait) => {
                let (user, failure) = (Some(checked.user.id), SignInFailure::TooOften);
                (Event::SignInFailed { user, failure }, SignedIn::TooOften(wait))
            }
        },
        Err(event) => (event, SignedIn::No),
    };
    app.tell(&request.origin, &event).await;
    Ok(Err(answer))
}

/// Begins the session of a user whose password has been checked. The password is checked again when the user has changed
/// meanwhile.
async fn begin_checked(
    app: &App,
    request: SignIn<'_>,
    mut checked: Credentials,
    known: Option<DeviceToken>,
    admission: &Admission,
) -> Result<SignedIn, Failure> {
    let earlier = request.earlier.and_then(|token| RefreshToken::open(token, &app.macs).ok());
    let earlier = earlier.map(|token| token.session);
    for checks_left in (0..CHECKS).rev() {
        match begin(app, &checked, &request, earlier).await? {
            Beginning::Begun(pair) => {
                if let Some(hash) = &checked.password_hash {
                    rehash(app, admission, checked.user.id, request.password, hash).await;
                }
                return welcome(app, request, checked, *pair, earlier, known).await;
            }
            Beginning::TooLarge => {
                tracing::warn!(user = %checked.user.id, "no sign-in: the access token would not fit a cookie");
                return Ok(SignedIn::TooLarge);
            }
            Beginning::Outdated if checks_left == 0 => break,
            Beginning::Outdated => {}
        }
        let credentials = app.store.credentials(&checked.user.profile.username).await?;
        checked = match check(admission.permit().await?, &request, credentials).await? {
            Ok(checked) => checked,
            Err(event) => {
                app.tell(&request.origin, &event).await;
                return Ok(SignedIn::No);
            }
        };
    }
    Err(Failure::Contended)
}

/// What remains to be done when the session has begun.
async fn welcome(
    app: &App,
    request: SignIn<'_>,
    checked: Credentials,
    pair: IssuedPair,
    earlier: Option<SessionRef>,
    known: Option<DeviceToken>,
) -> Result<SignedIn, Failure> {
    let device = match known {
        Some(known) => known.device,
        None => app.random.bytes()?,
    };
    let device_token = app.device_token(checked.user.id, device, checked.password_number());
    let user = checked.user;
    let origin = request.origin.by(Actor::User(pair.session));
    let known_device = known.is_some();
    let failures = app.failures_before(&user.profile.username).await;
    app.tell(&origin, &Event::SignedIn { session: pair.session, known_device, failures }).await;
    // One of the same user has made room for the new session already.
    if let Some(earlier) = earlier.filter(|earlier| earlier.user != user.id) {
        replace(app, &origin, earlier).await?;
    }
    Ok(SignedIn::Yes(Box::new((user, pair, device_token))))
}

/// Ends another user's session, whose cookies the browser is about to lose (OWASP ASVS 5.0, 7.2.4). One dead replica must not
/// stop sign-ins: that it has not heard of the end is no error.
///
/// # Errors
/// If the store fails. The browser keeps its cookies, and ends the session when it signs in again.
async fn replace(app: &App, origin: &Origin, earlier: SessionRef) -> Result<(), Failure> {
    let scope = Scope::One(earlier.session);
    end_sessions(app, origin, earlier.user, scope, EndReason::Replaced, None).await.map(drop)
}

/// Checks name and password: gives what the password was right for. One password is hashed whatever comes, so that time
/// tells nothing.
async fn check(
    permit: Permit,
    request: &SignIn<'_>,
    credentials: Option<Credentials>,
) -> Result<Result<Credentials, Event>, Failure> {
    let hash = credentials.as_ref().and_then(|found| found.password_hash.clone());
    let right = match Password::parse(request.password) {
        Ok(password) => permit.verify(password, hash).await?,
        // Nobody has such a password.
        Err(_) => permit.refuse().await?,
    };
    let failed = |user, failure| Ok(Err(Event::SignInFailed { user, failure }));
    match credentials {
        None => failed(None, SignInFailure::UnknownUser),
        Some(found) if !right => failed(Some(found.user.id), SignInFailure::WrongPassword),
        Some(found) if found.user.disabled => failed(Some(found.user.id), SignInFailure::Disabled),
        Some(found) => Ok(Ok(found)),
    }
}

/// What came of the beginning of a session.
enum Beginning {
    /// It has begun.
    Begun(Box<IssuedPair>),
    /// The access token would not fit its cookie.
    TooLarge,
    /// The user is not the one any more who was checked: another password, disabled, or gone.
    Outdated,
}

/// Begins the session, making room for it among the user's others. Its tokens are made before it begins: if they cannot
/// be delivered there is no session, and nothing is given.
async fn begin(
    app: &App,
    checked: &Credentials,
    request: &SignIn<'_>,
    earlier: Option<SessionRef>,
) -> Result<Beginning, Failure> {
    let user = &checked.user;
    let new = NewSession {
        nonce: Nonce(app.random.bytes()?),
        mac_key: app.macs.minting_id(),
        delivery: request.delivery,
        authentication: Authentication::Password,
        client: ClientNumber::FIRST_PARTY,
        dpop_bound: false,
        origin: request.origin.tag(),
    };
    let (mut operation, mut turn) = (None, None);
    for _ in 0..BEGIN_ROUNDS {
        let existing = app.store.sessions_of(user.id).await?;
        // The clock may be behind a cutoff: that of a promoted primary.
        let begins_at = app.node.cutoffs.of(new.client).begin_at(existing.now);
        let session = SessionRef { user: user.id, session: app.random.session_id(begins_at)? };
        let record = first_record(&new, existing.now, &app.policy.rotation);
        let pair = app.issue(session, &record, &user.profile, record.rotated_at)?;
        if request.cookie_room.is_some_and(|room| pair.access.token.len() > room) {
            return Ok(Beginning::TooLarge);
        }
        let earlier = earlier.filter(|earlier| earlier.user == user.id).map(|earlier| earlier.session);
        let (changes, max_found) = room(app, &existing, earlier);
        if operation.is_none() && changes.iter().any(|(_, _, change)| matches!(change, Change::Replace(_))) {
            let origin = request.origin.clone().by(Actor::User(session));
            operation = Some(app.open(&origin, What::Change { user: user.id }, Vec::new()).await?);
        }
        let step = BeginStep {
            session,
            record,
            details: details(request),
            thumbprint: None,
            changes,
            max_found,
            checked_hash: checked.password_hash.clone(),
            operation: operation.as_ref().map(|operation: &Operation| operation.id),
        };
        let begun = app.store.begin_session(&step).await?;
        if begun != Begun::Blocked {
            if let Some(operation) = operation {
                tell_replaced(app, &request.origin, &step, operation).await?;
            }
            // What no replica has heard of may have been made on the wrong side of a partition, and ended on the other.
            if begun == Begun::Begun && app.node.store == StoreKind::Redis {
                app.node.newcomers.remember(step, app.clock.now());
            }
            return Ok(Beginning::Begun(Box::new(pair)));
        }
        // Not kept open while this one waits: another node would give it up.
        if let Some(operation) = operation.take() {
            app.withdraw(operation).await;
        }
        if !still_holds(app, checked).await? {
            return Ok(Beginning::Outdated);
        }
        if turn.is_none() {
            turn = app.node.turns.of(user.id).await;
        }
    }
    Err(Failure::Contended)
}

/// Whether what was checked is still so. Asked when a beginning was blocked: often it was only by another sign-in.
async fn still_holds(app: &App, checked: &Credentials) -> Result<bool, Failure> {
    let found = app.store.credentials(&checked.user.profile.username).await?;
    Ok(found.is_some_and(|found| {
        found.user.id == checked.user.id
            && !found.user.disabled
            && found.password_hash == checked.password_hash
    }))
}

/// Tells of the sessions that ended to make room.
async fn tell_replaced(
    app: &App,
    origin: &Origin,
    step: &BeginStep,
    operation: Operation,
) -> Result<(), Failure> {
    let replaced = step.changes.iter().filter_map(|(session, _, change)| match change {
        Change::Replace(tombstone) => Some((*session, *tombstone)),
        Change::Forget => None,
    });
    let dead: Vec<_> = replaced.collect();
    for (session, _) in &dead {
        let session = SessionRef { user: step.session.user, session: *session };
        app.note(origin, &Event::SessionEnded { session, reason: EndReason::Replaced });
    }
    // One dead replica must not stop sign-ins.
    app.conclude(origin, operation, Done { dead: &dead, durable: true, ..Done::default() }).await.map(drop)
}

/// The sessions that change to make room, and how many records there may be when the room is made.
fn room(
    app: &App,
    existing: &UserSessions,
    earlier: Option<SessionId>,
) -> (Vec<(SessionId, SessionRecord, Change)>, usize) {
    let as_seen =
        |id: SessionId| existing.sessions.iter().find(|other| other.id == id).map(|session| session.record);
    // One that a cutoff has ended may have no tombstone yet.
    let cutoffs = app.node.cutoffs.all();
    let as_judged = |session: &StoredSession| {
        let record = session.record.bounded_by(&app.policy.rotation);
        match cutoffs.of(record.client).end_of(session.id) {
            Some(reason) => record.end(reason, existing.now),
            None => record,
        }
    };
    let records: Vec<_> = existing.sessions.iter().map(|session| (session.id, as_judged(session))).collect();
    let changes = make_room(&records, earlier, existing.now, &app.policy.limits)
        .into_iter()
        .filter_map(|(id, change)| Some((id, as_seen(id)?, change)))
        .collect();
    let spare = spare_room(&records, earlier, existing.now, &app.policy.limits);
    (changes, records.len() + existing.corrupt.len() + spare)
}

fn details(request: &SignIn<'_>) -> SessionDetails {
    SessionDetails {
        device_name: request.device_name.clone(),
        user_agent: request.origin.user_agent.clone(),
        address: request.origin.shown_address(),
    }
}
