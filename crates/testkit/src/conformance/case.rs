//! One case: what the people in it hold, and how their commands become steps of the store.

mod refresh;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use relatch::store::{BeginStep, Begun, EndNote, EndStep, Ended, SessionDetails, Store, StoreError};
use relatch_domain::ids::{MacKeyId, OriginTag, Thumbprint};
use relatch_domain::policy::SessionLimits;
use relatch_domain::record::encode;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{Authentication, Delivery, EndReason, SessionRecord};
use relatch_domain::sign_in::{Change, NewSession, first_record, make_room, spare_room};
use relatch_domain::testing::session_began_at;
use relatch_domain::user::Username;
use relatch_domain::{
    ClientNumber, Generation, Nonce, OperationId, SessionId, SessionRef, UnixMillis, UnixSeconds, UserId,
};

use super::command::{At, BEGAN, Command, Ending, Meanwhile, NAMES, USERS, Which, after_start, policy};
use super::pair::{Divergence, Pair};
use super::random::Coverage;
use crate::clock::ManualClock;
use crate::model_store::ModelStore;

/// A token that was issued.
#[derive(Clone, Copy)]
struct Issued {
    generation: Generation,
    nonce: Nonce,
    at: UnixSeconds,
}

/// What has become of one session: never empty.
#[derive(Default)]
struct History {
    tokens: Vec<Issued>,
    records: Vec<SessionRecord>,
}

impl History {
    fn remember(&mut self, record: &SessionRecord) {
        let (generation, nonce, at) = (record.generation, record.nonce, record.rotated_at.seconds());
        self.tokens.push(Issued { generation, nonce, at });
        self.records.push(*record);
    }
}

/// Which sessions change for a new one, and how many there may be.
struct Room {
    changes: Vec<(SessionId, SessionRecord, Change)>,
    max_found: usize,
}

pub(super) struct Case {
    pair: Pair,
    clock: ManualClock,
    seed: [u8; 8],
    /// Of everything that must be new.
    counter: u64,
    users: Vec<UserId>,
    created: Vec<UserId>,
    /// Names that were freed by a deletion.
    freed: Vec<Username>,
    histories: BTreeMap<At, History>,
    pub(super) coverage: Coverage,
}

impl Case {
    /// A case of its own on a store that others may use; no two cases may have the same seed.
    pub(super) async fn begin(
        store: Arc<dyn Store>,
        clock: &ManualClock,
        seed: [u8; 8],
    ) -> Result<Self, Divergence> {
        let model = ModelStore::new(Arc::new(clock.clone()));
        let mut case = Self {
            pair: Pair { store, model },
            clock: clock.clone(),
            seed,
            counter: 0,
            users: Vec::new(),
            created: Vec::new(),
            freed: Vec::new(),
            histories: BTreeMap::new(),
            coverage: Coverage::default(),
        };
        case.users = (0..USERS).map(|_| case.fresh_user()).collect();
        case.create_user(0, 0).await?;
        Ok(case)
    }

    pub(super) async fn run(&mut self, command: &Command) -> Result<(), Divergence> {
        match command.clone() {
            Command::CreateUser { user, name } => self.create_user(user, name).await,
            Command::ChangeUser { at, edit, ending } => self.change_user(at, edit, ending).await,
            Command::DeleteUser { user } => self.delete_user(user).await,
            Command::FindUsers { user, name, prefix, after, limit } => {
                self.find_users(user, name, prefix, after, limit.into()).await
            }
            Command::SignIn { at, policy, delivery, bound, limit, meanwhile } => {
                self.sign_in(at, policy, delivery, bound, limit, meanwhile).await
            }
            Command::Plant { at, record } => {
                let room = Room { changes: Vec::new(), max_found: usize::MAX };
                self.begin_session(at, record.0, record.0.dpop_bound, room, None).await
            }
            Command::Refresh { at, token, attempt, twist, policy, twice } => {
                let step = self.rotate_step(at, token, attempt, twist, policy);
                if twice {
                    let first = self.rotate(&step).await?;
                    self.note_applied(at, &step, &first);
                }
                self.refresh(at, &step).await
            }
            Command::End { at, ending } => {
                let begun_before = ending.before.map(after_start);
                let (scope, reason, note) = self.ending(at, ending);
                let step = EndStep { user: self.user(at.user), scope, begun_before, reason, note };
                let ended = self.end(&step).await?;
                self.note_ended(scope, begun_before, &ended);
                Ok(())
            }
            Command::LoseWrites { at, count } => self.lose_writes(at, count).await,
            Command::SwapUnseen { at } => self.swap_unseen(at).await,
            Command::AppendHistory { at, line } => {
                let (session, line) = (self.session(at), line.to_string());
                let append = async |store: &dyn Store| {
                    store.append_history(session, &line).await?;
                    store.history(session).await
                };
                self.pair.ask(command, append).await.map(drop)
            }
            Command::Look { at } => {
                let session = self.session(at);
                self.pair.ask(command, async |store| store.observe(session).await).await.map(drop)
            }
        }
    }

    /// Compares all that is left, records byte for byte.
    pub(super) async fn compare(&self) -> Result<(), Divergence> {
        for user in &self.created {
            let user = *user;
            self.pair.ask(("user at the end", user), async |store| store.user(user).await).await?;
            let all = async |store: &dyn Store| store.sessions_of(user).await;
            self.pair.ask(("sessions at the end", user), all).await?;
            let histories = async |store: &dyn Store| store.histories(user).await;
            self.pair.ask(("histories at the end", user), histories).await?;
            let bytes = async |store: &dyn Store| -> Result<Vec<_>, StoreError> {
                let sessions = store.sessions_of(user).await?.sessions;
                Ok(sessions.iter().map(|session| encode(&session.record)).collect())
            };
            self.pair.ask(("bytes at the end", user), bytes).await?;
        }
        Ok(())
    }

    async fn sign_in(
        &mut self,
        at: At,
        policy_number: u8,
        delivery: Delivery,
        bound: bool,
        limit: u8,
        meanwhile: Meanwhile,
    ) -> Result<(), Divergence> {
        let user = self.user(at.user);
        let checked_hash = self.find_user(at.user).await?.and_then(|found| found.password_hash);
        let stale = meanwhile == Meanwhile::SessionsChange;
        let found = self.pair.ask(("sessions", user), async |store| store.sessions_of(user).await).await?;
        let existing: Vec<_> = found.sessions.iter().map(|session| (session.id, session.record)).collect();
        let limits = SessionLimits {
            max_live: limit.into(),
            max_tombstones: limit.into(),
            tombstone_ttl: Duration::from_mins(2),
        };
        let mut changes = Vec::new();
        for (id, change) in make_room(&existing, None, found.now, &limits) {
            for (_, record) in existing.iter().filter(|(other, _)| *other == id) {
                // As if the session had changed since it was seen.
                let generation = if stale { record.generation.next() } else { record.generation };
                changes.push((id, SessionRecord { generation, ..*record }, change));
            }
        }
        let new = NewSession {
            nonce: self.fresh_nonce(),
            mac_key: MacKeyId(1),
            delivery,
            authentication: Authentication::Password,
            client: ClientNumber(0),
            dpop_bound: bound,
            origin: OriginTag(7),
        };
        let record = first_record(&new, found.now, &policy(policy_number));
        // As if one more had begun since they were counted, where no changed record tells of it.
        let unseen = usize::from(stale && changes.is_empty());
        let max_found =
            (existing.len() + spare_room(&existing, None, found.now, &limits)).saturating_sub(unseen);
        if meanwhile == Meanwhile::PasswordChanges {
            self.change_password(at.user).await?;
        }
        self.begin_session(at, record, bound, Room { changes, max_found }, checked_hash).await
    }

    async fn begin_session(
        &mut self,
        at: At,
        record: SessionRecord,
        bound: bool,
        Room { changes, max_found }: Room,
        checked_hash: Option<String>,
    ) -> Result<(), Divergence> {
        let number = self.fresh();
        let details = SessionDetails {
            device_name: number.is_multiple_of(2).then(|| format!("Device \"{number}\" é")),
            user_agent: number.is_multiple_of(3).then(|| format!("agent/{number}")),
            address: Some("192.0.2.1".to_owned()),
        };
        let thumbprint = bound.then_some(OWN_KEY);
        let session = self.session(at);
        let operation = number.is_multiple_of(4).then(|| self.fresh_operation());
        let step =
            BeginStep { session, record, details, thumbprint, changes, max_found, checked_hash, operation };
        let begun = self.pair.ask(&step, async |store| store.begin_session(&step).await).await?;
        if begun == Begun::Begun {
            self.histories.insert(at, History::default());
            self.remember(at, &record);
        }
        Ok(())
    }

    /// The order of the sessions that ended is nobody's business.
    async fn end(&self, step: &EndStep) -> Result<Ended, Divergence> {
        self.pair.ask_alike(step, async |store| store.end_sessions(step).await, sorted).await
    }

    fn ending(&mut self, at: At, ending: Ending) -> (Scope, EndReason, EndNote) {
        let scope = match ending.which {
            Which::One => Scope::One(session(at)),
            Which::AllBut => Scope::AllBut(session(at)),
            Which::All => Scope::All,
            Which::Client(number) => Scope::Client(ClientNumber(number)),
        };
        let note = ending.note.then(|| format!("note {}", self.fresh()));
        (scope, ending.reason, note.map_or_else(EndNote::default, EndNote::saying))
    }

    fn note_ended(&mut self, scope: Scope, begun_before: Option<UnixMillis>, ended: &Ended) {
        if ended.ended.is_empty() {
            return;
        }
        if begun_before.is_some() {
            self.coverage.happened("ended_by_time");
        }
        if matches!(scope, Scope::Client(_)) {
            self.coverage.happened("ended_by_client");
        }
    }

    fn remember(&mut self, at: At, record: &SessionRecord) {
        self.histories.entry(at).or_default().remember(record);
    }

    fn user(&self, number: u8) -> UserId {
        self.users.get(usize::from(number)).copied().unwrap_or(UserId::from_bytes([0; 16]))
    }

    fn session(&self, at: At) -> SessionRef {
        SessionRef { user: self.user(at.user), session: session(at) }
    }

    fn prefix(&self) -> String {
        format!("c{:016x}", u64::from_be_bytes(self.seed))
    }

    fn name(&self, number: u8) -> Option<Username> {
        let suffix = NAMES.get(usize::from(number))?;
        format!("{}{suffix}", self.prefix()).parse().ok()
    }

    fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn fresh_nonce(&mut self) -> Nonce {
        Nonce(self.fresh().to_be_bytes())
    }

    fn fresh_operation(&mut self) -> OperationId {
        OperationId::from_bytes(*self.fresh_user().as_bytes())
    }

    fn fresh_user(&mut self) -> UserId {
        let mut id = [0; 16];
        let (seed, counter) = id.split_at_mut(8);
        seed.copy_from_slice(&self.seed);
        counter.copy_from_slice(&self.fresh().to_be_bytes());
        UserId::from_bytes(id)
    }
}

fn sorted(mut ended: Ended) -> Ended {
    ended.ended.sort_unstable();
    ended
}

const OWN_KEY: Thumbprint = Thumbprint([1; 32]);

fn session(at: At) -> SessionId {
    session_began_at(after_start(BEGAN.get(usize::from(at.session)).copied().unwrap_or_default()))
}
