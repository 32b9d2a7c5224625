//! The tables of the database file, and what may go wrong between them and a step.

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, TableError, WriteTransaction};
use relatch_domain::{SessionId, SessionRef, UserId};

use crate::store::{Settled, StoreError};

/// User id and session id, so that a user's sessions stand together and in the order of their ids.
pub(super) type SessionKey = [u8; 32];

/// Trail, milliseconds and number of an audit record.
pub(super) type AuditKey = [u8; 17];

/// Milliseconds and number of an entry of the log.
pub(super) type LogKey = [u8; 16];

type Bytes = &'static [u8];
type BySession = &'static SessionKey;
type ByUser = &'static [u8; 16];

/// Session to its packed record ([`relatch_domain::record`]).
pub(super) const SESSIONS: TableDefinition<BySession, Bytes> = TableDefinition::new("sessions");
/// Session to its details, JSON.
pub(super) const DETAILS: TableDefinition<BySession, Bytes> = TableDefinition::new("details");
/// Session to the thumbprint of its `DPoP` key.
pub(super) const THUMBPRINTS: TableDefinition<BySession, &[u8; 32]> = TableDefinition::new("thumbprints");
/// Session to what is kept about its end, JSON.
pub(super) const NOTES: TableDefinition<BySession, Bytes> = TableDefinition::new("notes");
/// Session to the lines of its history.
pub(super) const HISTORIES: TableDefinition<BySession, &str> = TableDefinition::new("histories");
/// User id to the user, JSON.
pub(super) const USERS: TableDefinition<ByUser, Bytes> = TableDefinition::new("users");
/// User name to user id. Sorted by the bytes of the name.
pub(super) const NAMES: TableDefinition<&str, ByUser> = TableDefinition::new("names");
/// Skeleton (UTS 39) to a user who has a name of it, or is to have one, and since when (ms).
pub(super) const SKELETONS: TableDefinition<&str, (ByUser, u64)> = TableDefinition::new("skeletons");
/// Key id to the sealed key.
pub(super) const KEYS: TableDefinition<&str, Bytes> = TableDefinition::new("keys");
/// Trail, milliseconds and number, big-endian, to the audit record.
pub(super) const AUDIT: TableDefinition<&AuditKey, Bytes> = TableDefinition::new("audit");
/// Milliseconds and number, big-endian, to until when the entry stays (ms), the revocation in words, and its audit record.
pub(super) const LOG: TableDefinition<&LogKey, (u64, &str, Bytes)> = TableDefinition::new("log");
/// The subjects of the entries of the log.
pub(super) const SUBJECTS: TableDefinition<&str, ()> = TableDefinition::new("subjects");
/// Operation to when it was opened (ms), and what it takes to finish it.
pub(super) const OPERATIONS: TableDefinition<ByUser, (u64, Bytes)> = TableDefinition::new("operations");
/// How long access tokens live and more (ms), to when this was last said (ms).
pub(super) const LIFETIMES: TableDefinition<u64, u64> = TableDefinition::new("lifetimes");
/// User and operation to when it was carried out or given up (ms), and whether the former.
pub(super) const OPERATED: TableDefinition<BySession, (u64, bool)> = TableDefinition::new("operated");
/// Deleted user to when it was deleted (ms), and the user as it was, JSON.
pub(super) const DELETED: TableDefinition<ByUser, (u64, Bytes)> = TableDefinition::new("deleted");
/// What there is one of: see [`super::shelf`] and [`super::file`].
pub(super) const META: TableDefinition<&str, Bytes> = TableDefinition::new("relatch");

/// All tables, open for writing.
pub(super) struct Tables<'txn> {
    pub(super) sessions: Table<'txn, BySession, Bytes>,
    pub(super) details: Table<'txn, BySession, Bytes>,
    pub(super) thumbprints: Table<'txn, BySession, &'static [u8; 32]>,
    pub(super) notes: Table<'txn, BySession, Bytes>,
    pub(super) histories: Table<'txn, BySession, &'static str>,
    pub(super) users: Table<'txn, ByUser, Bytes>,
    pub(super) names: Table<'txn, &'static str, ByUser>,
    pub(super) skeletons: Table<'txn, &'static str, (ByUser, u64)>,
    pub(super) keys: Table<'txn, &'static str, Bytes>,
    pub(super) audit: Table<'txn, &'static AuditKey, Bytes>,
    pub(super) log: Table<'txn, &'static LogKey, (u64, &'static str, Bytes)>,
    pub(super) subjects: Table<'txn, &'static str, ()>,
    pub(super) operations: Table<'txn, ByUser, (u64, Bytes)>,
    pub(super) lifetimes: Table<'txn, u64, u64>,
    pub(super) operated: Table<'txn, BySession, (u64, bool)>,
    pub(super) deleted: Table<'txn, ByUser, (u64, Bytes)>,
    pub(super) meta: Table<'txn, &'static str, Bytes>,
}

impl<'txn> Tables<'txn> {
    /// Opens the tables and creates those that are missing.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            details: transaction.open_table(DETAILS)?,
            thumbprints: transaction.open_table(THUMBPRINTS)?,
            notes: transaction.open_table(NOTES)?,
            histories: transaction.open_table(HISTORIES)?,
            users: transaction.open_table(USERS)?,
            names: transaction.open_table(NAMES)?,
            skeletons: transaction.open_table(SKELETONS)?,
            keys: transaction.open_table(KEYS)?,
            audit: transaction.open_table(AUDIT)?,
            log: transaction.open_table(LOG)?,
            subjects: transaction.open_table(SUBJECTS)?,
            operations: transaction.open_table(OPERATIONS)?,
            lifetimes: transaction.open_table(LIFETIMES)?,
            operated: transaction.open_table(OPERATED)?,
            deleted: transaction.open_table(DELETED)?,
            meta: transaction.open_table(META)?,
        })
    }
}

/// All tables as they were at one moment. Opened together, so that a file that lacks one is found out at once.
pub(super) struct Snapshot {
    pub(super) sessions: ReadOnlyTable<BySession, Bytes>,
    pub(super) details: ReadOnlyTable<BySession, Bytes>,
    pub(super) thumbprints: ReadOnlyTable<BySession, &'static [u8; 32]>,
    pub(super) notes: ReadOnlyTable<BySession, Bytes>,
    pub(super) histories: ReadOnlyTable<BySession, &'static str>,
    pub(super) users: ReadOnlyTable<ByUser, Bytes>,
    pub(super) names: ReadOnlyTable<&'static str, ByUser>,
    pub(super) keys: ReadOnlyTable<&'static str, Bytes>,
    pub(super) audit: ReadOnlyTable<&'static AuditKey, Bytes>,
    pub(super) log: ReadOnlyTable<&'static LogKey, (u64, &'static str, Bytes)>,
    pub(super) operations: ReadOnlyTable<ByUser, (u64, Bytes)>,
    pub(super) meta: ReadOnlyTable<&'static str, Bytes>,
}

impl Snapshot {
    /// Opens the tables, all of which are there since the file was opened.
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, TableError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            details: transaction.open_table(DETAILS)?,
            thumbprints: transaction.open_table(THUMBPRINTS)?,
            notes: transaction.open_table(NOTES)?,
            histories: transaction.open_table(HISTORIES)?,
            users: transaction.open_table(USERS)?,
            names: transaction.open_table(NAMES)?,
            keys: transaction.open_table(KEYS)?,
            audit: transaction.open_table(AUDIT)?,
            log: transaction.open_table(LOG)?,
            operations: transaction.open_table(OPERATIONS)?,
            meta: transaction.open_table(META)?,
        })
    }
}

/// Why a step came to no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// What this step needs cannot be read. Other steps are not concerned.
    Corrupt(String),
    /// The operation that the step is a part of was given up.
    GivenUp,
    /// The database failed.
    Storage(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Failure> for StoreError {
    /// For steps that write nothing, or whose writes were not committed.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Corrupt(what) | Failure::Storage(redb::Error::Corrupted(what)) => Self::Corrupt(what),
            Failure::GivenUp => Self::Unavailable(Settled::GIVEN_UP.to_owned()),
            Failure::Storage(error) => Self::Unavailable(error.to_string()),
        }
    }
}

/// The key of a session.
pub(super) fn key_of(user: UserId, session: SessionId) -> SessionKey {
    let mut key = [0; 32];
    let (head, tail) = key.split_at_mut(16);
    head.copy_from_slice(user.as_bytes());
    tail.copy_from_slice(session.as_bytes());
    key
}

/// The session that a key stands for.
pub(super) fn session_of(key: &SessionKey) -> SessionRef {
    let (mut user, mut session) = ([0; 16], [0; 16]);
    let (head, tail) = key.split_at(16);
    user.copy_from_slice(head);
    session.copy_from_slice(tail);
    SessionRef { user: UserId::from_bytes(user), session: SessionId::from_bytes(session) }
}

/// The first and the last key that a session of this user can have.
pub(super) fn keys_of(user: UserId) -> (SessionKey, SessionKey) {
    (key_of(user, SessionId::from_bytes([0; 16])), key_of(user, SessionId::from_bytes([0xff; 16])))
}
