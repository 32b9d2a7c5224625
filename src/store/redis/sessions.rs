//! The steps on sessions, one typed wrapper for each script.

use std::collections::BTreeMap;

use redis::{ToRedisArgs, Value};
use relatch_domain::attempt::AttemptHash;
use relatch_domain::bytes::fill;
use relatch_domain::record::{self, delivery_byte, reason_byte};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::sign_in::Change;
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};

use super::Handle;
use super::changes::given_up;
use super::failure::Effect;
use super::keyspace::UserKeys;
use super::reply::{self, Row, corrupt};
use super::request::{Request, Script, script};
use super::synced::Written;
use crate::store::{
    BeginStep, Begun, EndNote, EndStep, Ended, Observation, RotateStep, Rotated, SessionDetails, StoreError,
    StoredSession, SwapStep, UserSessions,
};

static ROTATE: Script = script!("#!lua flags=allow-oom", ["observed", "rotate"], Effect::Writes);
static SWAP: Script = script!("#!lua flags=allow-oom", ["observed", "swap"], Effect::Writes);
static OBSERVE: Script = script!("#!lua flags=no-writes", ["observed", "observe"], Effect::Reads);
static SESSIONS: Script = script!("sessions", Effect::Reads);
static BEGIN: Script = script!("#!lua", ["operated", "begin"], Effect::Writes);
static END: Script = script!("#!lua flags=allow-oom", ["ending", "end"], Effect::Writes);

impl Handle {
    pub(super) async fn rotate_session(&self, step: &RotateStep) -> Result<Rotated, StoreError> {
        let presented = &step.presented;
        let session = presented.session;
        let mut request =
            self.on_user(&ROTATE, session.user).arg(session.session.as_bytes()).arg(&packed(step));
        let (thumbprint, time) = (presented.thumbprint.as_ref(), self.time.argument());
        // Left out they save Redis a thirtieth of the call.
        if thumbprint.is_some() || !time.is_empty() {
            let thumbprint = thumbprint.map_or([].as_slice(), |thumbprint| &thumbprint.0);
            request = request.arg(thumbprint).arg(time);
        }
        self.router.ask(&request).await.and_then(rotated)
    }

    pub(super) async fn swap_record(&self, step: &SwapStep) -> Result<Rotated, StoreError> {
        let request = self
            .on_user(&SWAP, step.session.user)
            .arg(step.session.session.as_bytes())
            .arg(&record::encode(&step.as_seen))
            .arg(&record::encode(&step.new))
            .arg(self.time.argument());
        self.router.ask(&request).await.and_then(rotated)
    }

    pub(super) async fn observe_session(&self, session: SessionRef) -> Result<Observation, StoreError> {
        let request =
            self.on_user(&OBSERVE, session.user).arg(session.session.as_bytes()).arg(self.time.argument());
        let (_, observation) = reply::observation(self.router.ask(&request).await?)?;
        Ok(observation)
    }

    pub(super) async fn list_sessions(&self, user: UserId) -> Result<UserSessions, StoreError> {
        let request = self.on_user(&SESSIONS, user).arg(self.time.argument());
        user_sessions(user, self.router.ask(&request).await?)
    }

    pub(super) async fn begin(&self, step: &BeginStep) -> Result<Begun, StoreError> {
        let details = serde_json::to_vec(&step.details)
            .map_err(|error| StoreError::Unavailable(format!("session details: {error}")))?;
        let mut request = self
            .on_all_of_user(&BEGIN, step.session.user)
            .arg(step.session.session.as_bytes())
            .arg(&record::encode(&step.record))
            .arg(details)
            .arg(step.thumbprint.as_ref().map_or([].as_slice(), |thumbprint| &thumbprint.0))
            .arg(self.time.argument())
            .arg(step.max_found);
        request = condition(request, step.checked_hash.as_deref());
        request = operation(request, step.operation);
        for (session, as_seen, change) in &step.changes {
            request = request.arg(session.as_bytes()).arg(&record::encode(as_seen));
            request = match change {
                Change::Forget => request.arg(""),
                Change::Replace(tombstone) => request.arg(&record::encode(tombstone)),
            };
        }
        let Written { answer: begun, durable, abandoned } =
            self.write(&request, begun, |begun| *begun).await?;
        if begun && abandoned {
            let why = "the process went away before replicas had heard of the sign-in";
            return Err(StoreError::Indeterminate(why.to_owned()));
        }
        // One dead replica must not stop sign-ins.
        Ok(match (begun, durable) {
            (true, true) => Begun::Begun,
            (true, false) => Begun::Alone,
            (false, _) => Begun::Blocked,
        })
    }

    pub(super) async fn end(&self, step: &EndStep) -> Result<Ended, StoreError> {
        let request = self.on_all_of_user(&END, step.user).arg(self.time.argument());
        let before = step.begun_before.map(|before| before.0.to_string()).unwrap_or_default();
        let request = self.ending(request, step.scope, step.reason, &step.note).arg(before);
        let written =
            self.write(&request, |answer| ended(Row::new(answer)?), |ended| ended.covered > 0).await?;
        Ok(Ended { durable: written.durable, ..written.answer })
    }

    /// Adds the arguments that `ending.lua` takes for sessions, whenever they began.
    pub(super) fn ending(
        &self,
        request: Request,
        scope: Scope,
        reason: EndReason,
        note: &EndNote,
    ) -> Request {
        let request = match scope {
            Scope::One(session) => request.arg("one").arg(session.as_bytes()),
            Scope::AllBut(session) => request.arg("all_but").arg(session.as_bytes()),
            Scope::All => request.arg("all").arg(""),
            Scope::Client(client) => request.arg("client").arg(&client.0.to_be_bytes()),
        };
        request
            .arg(reason_byte(reason))
            .arg(u8::from(!note.is_empty()))
            .arg(serde_json::to_vec(note).unwrap_or_default())
            .arg(u8::from(self.synced.is_some()))
    }

    pub(super) fn on_user(&self, script: &'static Script, user: UserId) -> Request {
        let UserKeys { sessions, user, details } = self.keyspace.of_user(user);
        script.on([&sessions, &user, &details])
    }

    /// As [`Handle::on_user`], for a script that sessions begin with or are removed by: it has the histories to see to.
    pub(super) fn on_all_of_user(&self, script: &'static Script, id: UserId) -> Request {
        let UserKeys { sessions, user, details } = self.keyspace.of_user(id);
        script.on([&sessions, &user, &details, &self.keyspace.histories(id)])
    }
}

fn begun(answer: Value) -> Result<bool, StoreError> {
    match answer {
        Value::Int(2) => Err(given_up()),
        answer => reply::flag(answer),
    }
}

/// Adds a condition on a part of the user: whether there is one, and how the part must stand there.
pub(super) fn condition(request: Request, part: Option<impl ToRedisArgs>) -> Request {
    match part {
        Some(part) => request.arg(1).arg(part),
        None => request.arg(0).arg(""),
    }
}

/// Adds the id of the operation that the step is a part of.
pub(super) fn operation(request: Request, id: Option<OperationId>) -> Request {
    match id {
        Some(id) => request.arg(id.as_bytes()),
        None => request.arg(""),
    }
}

/// The length of what `rotate.lua` takes in one piece.
const PACKED: usize = 77;

/// What `rotate.lua` takes in one piece.
fn packed(step: &RotateStep) -> [u8; PACKED] {
    let RotateStep { presented, fresh, policy } = step;
    // The four bits of the way of authentication are zero: there is but the password.
    let dpop = if presented.thumbprint.is_some() { 0b1000 } else { 0 };
    let flags = delivery_byte(presented.delivery) << 1 | dpop;
    let attempt = presented.attempt.map_or([0; 8], AttemptHash::bytes);
    let [idle_ttl, absolute_ttl] = [policy.idle_ttl, policy.absolute_ttl]
        .map(|lifetime| u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    let [_, _, cutoff @ ..] = policy.cutoff.at.min(UnixMillis::MAX).0.to_be_bytes();
    let parts: [&[u8]; 16] = [
        &[flags],
        &presented.generation.0.to_be_bytes(),
        &presented.nonce.0,
        &attempt,
        &presented.client.0.to_be_bytes(),
        &cutoff,
        &idle_ttl,
        &absolute_ttl,
        &policy.budget.interval_tenths().to_be_bytes(),
        &policy.budget.limit_tenths().to_be_bytes(),
        // The next record.
        &[0, fresh.mac_key.0],
        &presented.generation.next().0.to_be_bytes(),
        &fresh.nonce.0,
        &presented.nonce.0,
        &attempt,
        // The spare bytes at the end are zero.
        &fresh.origin.0.to_be_bytes(),
    ];
    let mut packed = [0; PACKED];
    fill(&mut packed, &parts);
    packed
}

fn rotated(answer: Value) -> Result<Rotated, StoreError> {
    let (applied, observation) = reply::observation(answer)?;
    Ok(if applied { Rotated::Applied(observation) } else { Rotated::Blocked(observation) })
}

/// Reads what `end.lua` says.
pub(super) fn ended(mut row: Row) -> Result<Ended, StoreError> {
    let now = row.time()?;
    let covered = usize::try_from(row.int()?).map_err(|_| corrupt("a negative number of sessions"))?;
    let mut ids = row.row()?;
    let mut ended = Vec::new();
    while let Some(id) = ids.value() {
        ended.push(reply::session_id(&reply::bytes(id)?.unwrap_or_default())?);
    }
    ended.sort_unstable();
    let mut tombstones = row.row()?;
    let mut dead = Vec::new();
    while let Some(id) = tombstones.value() {
        let id = reply::session_id(&reply::bytes(id)?.unwrap_or_default())?;
        dead.push((id, reply::session_record(&tombstones.bytes()?.unwrap_or_default())?));
    }
    dead.sort_unstable_by_key(|(id, _)| *id);
    Ok(Ended { now, covered, ended, dead, durable: true })
}

fn user_sessions(user: UserId, answer: Value) -> Result<UserSessions, StoreError> {
    let mut row = Row::new(answer)?;
    let now = row.time()?;
    let mut records = row.row()?;
    let mut beside = Beside::read(row.row()?)?;
    let user = reply::user(user, &mut row.row()?)?;

    let mut sessions = Vec::new();
    let mut corrupt = Vec::new();
    while let Some(id) = records.value() {
        let id = reply::bytes(id)?.unwrap_or_default();
        let packed = records.bytes()?.unwrap_or_default();
        match (reply::session_id(&id), reply::session_record(&packed)) {
            (Ok(id), Ok(record)) => {
                sessions.push(StoredSession {
                    id,
                    record,
                    details: beside.details.remove(&id).unwrap_or_default(),
                    note: beside.notes.remove(&id).unwrap_or_default(),
                });
            }
            (Ok(id), Err(_)) => corrupt.push(id),
            (Err(_), _) => {}
        }
    }
    sessions.sort_unstable_by_key(|session| session.id);
    Ok(UserSessions { now, user, sessions, corrupt })
}

/// What stands beside the records, by session.
#[derive(Default)]
struct Beside {
    details: BTreeMap<SessionId, SessionDetails>,
    notes: BTreeMap<SessionId, EndNote>,
}

impl Beside {
    /// Sorts the fields of the details hash. What cannot be read counts as lost: nothing is decided by it.
    fn read(mut fields: Row) -> Result<Self, StoreError> {
        let mut beside = Self::default();
        while let Some(field) = fields.value() {
            let field = reply::bytes(field)?.unwrap_or_default();
            let value = fields.bytes()?.unwrap_or_default();
            let Some((kind, id)) = field.split_first() else { continue };
            let Ok(id) = reply::session_id(id) else { continue };
            match kind {
                b'd' => drop(serde_json::from_slice(&value).map(|read| beside.details.insert(id, read))),
                b'n' => drop(serde_json::from_slice(&value).map(|read| beside.notes.insert(id, read))),
                _ => {}
            }
        }
        Ok(beside)
    }
}
