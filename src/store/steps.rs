//! The steps' arguments and answers, the same for all stores.

use relatch_domain::attributes::Attributes;
use relatch_domain::device_token::PasswordNumber;
use relatch_domain::event::Party;
use relatch_domain::ids::Thumbprint;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::Scope;
use relatch_domain::rotation::{Fresh, Presented};
use relatch_domain::session::{EndReason, Seen, SessionRecord};
use relatch_domain::sign_in::Change;
use relatch_domain::user::{Profile, Roles, User, Username};
use relatch_domain::{OperationId, SessionId, SessionRef, UnixMillis, UserId};
use serde::{Deserialize, Serialize};

/// One ordinary refresh. Made once and used for all its tries, so that what it did can be recognised after a
/// lost answer: if the record's current nonce is `fresh.nonce` then, the step was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateStep {
    /// The token, and how it was presented.
    pub presented: Presented,
    /// What the rotation brings with it.
    pub fresh: Fresh,
    /// The policy by which the guards judge.
    pub policy: RotationPolicy,
}

/// What a step saw, before it wrote anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The store's time, by which everything is judged and minted.
    pub now: UnixMillis,
    /// The session and the user's standing.
    pub seen: Seen,
    /// Name, roles and attributes; there whenever the user is.
    pub profile: Option<Profile>,
}

/// What came of a conditional write to one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// Its condition held: the record that was seen has been replaced.
    Applied(Observation),
    /// Its condition did not hold: nothing was written.
    Blocked(Observation),
}

/// Replaces one record by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapStep {
    /// Whose record.
    pub session: SessionRef,
    /// The record as it was seen. Compared in its packed form.
    pub as_seen: SessionRecord,
    /// The record to write.
    pub new: SessionRecord,
}

/// Ends some or all sessions of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndStep {
    /// Whose sessions.
    pub user: UserId,
    /// Which of them.
    pub scope: Scope,
    /// Of those only the ones that began before this point.
    pub begun_before: Option<UnixMillis>,
    /// Why.
    pub reason: EndReason,
    /// Kept beside each session that ends by this step.
    pub note: EndNote,
}

impl EndStep {
    /// The end of sessions of a user, whenever they began, with nothing to keep about it.
    pub fn of(user: UserId, scope: Scope, reason: EndReason) -> Self {
        Self { user, scope, begun_before: None, reason, note: EndNote::default() }
    }

    /// Whether the step covers a session. Its record may be one that cannot be read.
    pub fn covers(&self, session: SessionId, record: Option<&SessionRecord>) -> bool {
        self.begun_before.is_none_or(|before| session.began_at() < before)
            && self.scope.covers(session, record)
    }
}

/// What is kept about the end of a session beside its record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndNote {
    /// What an administrator wrote about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Address that the end was asked for from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `User-Agent` of whoever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whether the session's own user asked for it, signed in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_its_user: bool,
    /// Of a reuse: who had refreshed last, the other of the two who hold tokens of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Party>,
}

impl EndNote {
    /// A note of an administrator's words only.
    pub fn saying(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What came of an [`EndStep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The store's time.
    pub now: UnixMillis,
    /// How many records the scope covers, ended ones too. Zero for an unknown session.
    pub covered: usize,
    /// The live sessions that ended by this step.
    pub ended: Vec<SessionId>,
    /// All covered sessions that are dead now and whose records can be read, with their tombstones, in the order of their
    /// ids: not only those that ended by this step.
    pub dead: Vec<(SessionId, SessionRecord)>,
    /// Whether as many replicas have the write as the configuration asks for. Always, where it asks for none.
    pub durable: bool,
}

/// What is long or rare about a session: never needed to refresh it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionDetails {
    /// What the user calls the device.
    pub device_name: Option<String>,
    /// `User-Agent` of the sign-in.
    pub user_agent: Option<String>,
    /// Address that the sign-in came from.
    pub address: Option<String>,
}

/// A session with its details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// Which session.
    pub id: SessionId,
    /// Its hot record.
    pub record: SessionRecord,
    /// Its details; empty if they were lost.
    pub details: SessionDetails,
    /// What is known about its end; empty for a session that has not ended.
    pub note: EndNote,
}

/// All sessions of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSessions {
    /// The store's time.
    pub now: UnixMillis,
    /// The user, if there is one.
    pub user: Option<User>,
    /// The sessions in the order of their ids.
    pub sessions: Vec<StoredSession>,
    /// The sessions whose records cannot be read and are left out.
    pub corrupt: Vec<SessionId>,
}

/// A sign-in's session, and the room that is made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginStep {
    /// The new session.
    pub session: SessionRef,
    /// Its first record.
    pub record: SessionRecord,
    /// Its details.
    pub details: SessionDetails,
    /// The `DPoP` key that it is bound to, if `record.dpop_bound`.
    pub thumbprint: Option<Thumbprint>,
    /// The sessions that change, each with its record as it was seen.
    pub changes: Vec<(SessionId, SessionRecord, Change)>,
    /// How many records the user may have before all this: those that were seen, and as many more as the limit leaves
    /// room for. Above that, others have signed in meanwhile.
    pub max_found: usize,
    /// The stored hash that the user's password was checked against. If there is another one by now, the password has
    /// been changed: what was checked no longer proves anything. None for a user who was recognised by something else.
    pub checked_hash: Option<String>,
    /// The operation that it is a part of: noted in the user if it is carried out.
    pub operation: Option<OperationId>,
}

/// What came of a [`BeginStep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The session has begun.
    Begun,
    /// It has begun, but fewer replicas have heard of it than the configuration asks for: a failover may lose it.
    Alone,
    /// A condition did not hold: nothing was written.
    Blocked,
}

/// A session with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSession {
    /// The session.
    pub stored: StoredSession,
    /// The lines of its history, the earliest first.
    pub history: Vec<String>,
    /// The `DPoP` key that it is bound to, if `record.dpop_bound`.
    pub thumbprint: Option<Thumbprint>,
}

/// A user with all that is kept under the user's id: what a copy takes from one store to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeUser {
    /// The user.
    pub credentials: Credentials,
    /// The sessions, ended ones too.
    pub sessions: Vec<WholeSession>,
}

/// A user to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The id, never used before.
    pub id: UserId,
    /// The name.
    pub username: Username,
    /// The roles.
    pub roles: Roles,
    /// The attributes.
    pub attributes: Attributes,
    /// Whether sign-in and refresh are refused.
    pub disabled: bool,
    /// The password's hash; a user without one cannot sign in by password.
    pub password_hash: Option<String>,
    /// The operation that it is a part of: noted in the user if it is carried out.
    pub operation: Option<OperationId>,
}

/// What came of creating a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCreation {
    /// The user, as created.
    Created(User),
    /// Somebody else has the name.
    NameTaken,
}

/// A user and what proves that it is them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The password's hash.
    pub password_hash: Option<String>,
    /// How often the password has changed since the user was created. A new hash of the same password is no change.
    pub password_changes: u32,
}

impl Credentials {
    /// Which of the user's passwords this one is.
    pub fn password_number(&self) -> PasswordNumber {
        PasswordNumber::after(self.user.created_at.seconds(), self.password_changes)
    }
}

/// A change of a user, and the end of sessions that goes with it, in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChange {
    /// Which user.
    pub user: UserId,
    /// The new roles, if they change.
    pub roles: Option<Roles>,
    /// Whether sign-in and refresh are refused from now on, if that changes.
    pub disabled: Option<bool>,
    /// The new attributes, if they change.
    pub attributes: Option<Attributes>,
    /// The new password's hash, if it changes.
    pub password_hash: Option<String>,
    /// Whether the new hash is one of the same password. If not, the change of the password is counted.
    pub is_rehash: bool,
    /// Which of the user's sessions end, why, and what is kept about it.
    pub end: Option<(Scope, EndReason, EndNote)>,
    /// What must still be as it was seen.
    pub as_seen: UserAsSeen,
    /// The operation that it is a part of: noted in the user if it is carried out.
    pub operation: Option<OperationId>,
}

impl UserChange {
    /// A change of nothing.
    pub fn of(user: UserId) -> Self {
        Self {
            user,
            roles: None,
            disabled: None,
            attributes: None,
            password_hash: None,
            is_rehash: false,
            end: None,
            as_seen: UserAsSeen::default(),
            operation: None,
        }
    }

    /// Whether the password becomes another one.
    pub const fn changes_password(&self) -> bool {
        self.password_hash.is_some() && !self.is_rehash
    }
}

/// What of a user a change was made from, and without which it is not made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserAsSeen {
    /// The attributes, all of them.
    pub attributes: Option<Attributes>,
    /// The password's hash.
    pub password_hash: Option<String>,
}

/// What came of a [`UserChange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChangeOutcome {
    /// It is made.
    Changed(UserChanged),
    /// Something was not as it was seen any more: nothing was written.
    Blocked,
    /// There is no such user.
    Unknown,
}

impl UserChangeOutcome {
    /// The change, if it is made.
    pub fn changed(self) -> Option<UserChanged> {
        match self {
            Self::Changed(changed) => Some(changed),
            Self::Blocked | Self::Unknown => None,
        }
    }
}

/// A [`UserChange`] that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChanged {
    /// The user as it is now.
    pub user: User,
    /// How often the password has changed, this time included.
    pub password_changes: u32,
    /// What became of the sessions; nothing covered if none were to end.
    pub ended: Ended,
}

impl UserChanged {
    /// Which of the user's passwords the present one is.
    pub fn password_number(&self) -> PasswordNumber {
        PasswordNumber::after(self.user.created_at.seconds(), self.password_changes)
    }
}

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDeleted {
    /// The user as it was.
    pub user: User,
    /// Whether as many replicas have the deletion as the configuration asks for.
    pub durable: bool,
}

/// How an operation on a user stands, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Whether it was carried out.
    pub carried_out: bool,
    /// Whether as many replicas have it so as the configuration asks for.
    pub durable: bool,
}

impl Settled {
    /// Why a step is refused whose operation was settled before it came.
    pub const GIVEN_UP: &str = "another server has given this operation up";
}

/// Which users to list: in the byte order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserQuery {
    /// Only those whose name begins with this.
    pub prefix: Option<String>,
    /// Only those after this name.
    pub after: Option<Username>,
    /// At most so many.
    pub limit: usize,
}

/// What came of raising a cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutoffRaised {
    /// It stands at this point now, which may be later than asked for: it never goes back.
    Raised {
        /// Sessions that began before this are over.
        cutoff: UnixMillis,
        /// Whether as many replicas have it as the configuration asks for.
        durable: bool,
    },
    /// The point lies in the future by the store's time: nothing was written.
    InFuture,
}

/// Where audit records are kept: apart, so that neither whoever is refused nor whoever reads, as often as they like, can push
/// out what others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trail {
    /// Sign-ins, security events, administrative acts.
    Acts,
    /// Refused sign-ins, and administrative calls of users who are no administrators.
    Refused,
    /// What administrators have read.
    Reads,
}

impl Trail {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Acts, Self::Refused, Self::Reads];
}

/// The place of an entry in its trail or in the log of revocations. Later ones have higher ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Milliseconds since the Unix epoch, by the clock of the store that numbered it.
    pub millis: u64,
    /// Tells records of one millisecond apart.
    pub seq: u64,
}

/// An audit record as it is stored. The store knows nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its place.
    pub id: EntryId,
    /// The record.
    pub record: Vec<u8>,
}

/// A signing key as it is stored. The store knows nothing of what is sealed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The key's id: `kid` of the tokens that it signs.
    pub id: String,
    /// Everything about the key, its private part encrypted.
    pub sealed: Vec<u8>,
}

/// All signing keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyShelf {
    /// Grows with every change; 0 for an empty shelf.
    pub version: u64,
    /// The keys in the order of their ids.
    pub keys: Vec<StoredKey>,
}

/// What identifies a store, so that a node notices when it is not the one it knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Random, made when the store was first used.
    pub store_id: String,
    /// The issuer that uses the store.
    pub issuer: String,
    /// A value that only the master key in use can give.
    pub master_key_check: String,
}

impl Marker {
    /// Whether both identify one store, be it that its master key was changed in between.
    pub fn is_of_the_same_store(&self, other: &Self) -> bool {
        (&self.store_id, &self.issuer) == (&other.store_id, &other.issuer)
    }
}
