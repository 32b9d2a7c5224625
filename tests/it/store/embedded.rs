//! The embedded store as a file: who may open it, what survives, what is wrong with it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use futures_util::future::join_all;
use redb::{Database, TableDefinition, TableHandle};
use relatch::ambient::{Clock, Random, SystemClock};
use relatch::store::embedded::{EmbeddedStore, Housekeeping, OpenError};
use relatch::store::{
    BeginStep, Begun, EndNote, EndStep, NewUser, RotateStep, Rotated, SessionDetails, Store, StoreError,
    Trail,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::ids::{MacKeyId, OriginTag};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::Scope;
use relatch_domain::rotation::{Fresh, Presented};
use relatch_domain::session::EndReason;
use relatch_domain::testing::{AROUND, live_record};
use relatch_domain::user::Roles;
use relatch_domain::{Nonce, SessionId, SessionRef, UnixMillis, UnixSeconds, UserId};
use relatch_testkit::clock::ManualClock;

const SESSIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");
/// Tells this test program, started by itself, which file it is about.
const FILE: &str = "RELATCH_TEST_FILE";

fn open(path: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(path, Arc::new(SystemClock))
}

/// This test once more, in a process of its own.
fn again(test: &str, path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("store::embedded::{test}"), "--nocapture"]);
    command.env(FILE, path).stdout(Stdio::piped());
    command
}

fn session(user: UserId, number: u8) -> SessionRef {
    SessionRef { user, session: SessionId::from_bytes([number; 16]) }
}

async fn some_user(store: &dyn Store) -> UserId {
    let id = UserId::from_bytes(Random.bytes().unwrap());
    let username = format!("user-{id}").parse().unwrap();
    store
        .create_user(&NewUser {
            id,
            username,
            roles: Roles::default(),
            attributes: Attributes::default(),
            disabled: false,
            password_hash: None,
            operation: None,
        })
        .await
        .unwrap();
    id
}

async fn begin(store: &dyn Store, session: SessionRef, now: UnixSeconds) -> BeginStep {
    let step = BeginStep { record: live_record(now), ..begin_like(session) };
    assert_eq!(store.begin_session(&step).await.unwrap(), Begun::Begun);
    step
}

fn rotation(began: &BeginStep) -> RotateStep {
    let presented = Presented {
        session: began.session,
        generation: began.record.generation,
        nonce: began.record.nonce,
        issued_at: began.record.rotated_at.seconds(),
        attempt: None,
        client: began.record.client,
        delivery: began.record.delivery,
        thumbprint: None,
    };
    let fresh = Fresh { nonce: Nonce([1; 8]), mac_key: MacKeyId(1), origin: OriginTag(0) };
    RotateStep { presented, fresh, policy: RotationPolicy::default() }
}

#[test]
fn the_file_is_for_this_user_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/data/store");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(open(&path).unwrap());
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(mode(&path), 0o600, "a restored backup gets narrow permissions again");
}

#[test]
fn a_second_opener_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let first = open(&path).unwrap();
    let second = open(&path).err().unwrap();
    assert!(matches!(second, OpenError::InUse(_)));
    assert!(second.to_string().contains("in use by another process"), "{second}");
    drop(first);
    open(&path).unwrap();
}

#[test]
fn another_process_is_told_that_the_file_is_in_use() {
    if let Some(path) = env::var_os(FILE) {
        assert!(matches!(open(Path::new(&path)), Err(OpenError::InUse(_))));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let _held = open(&path).unwrap();
    let output = again("another_process_is_told_that_the_file_is_in_use", &path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let user = UserId::from_bytes([7; 16]);
    if let Some(path) = env::var_os(FILE) {
        let store = open(Path::new(&path)).unwrap();
        let username = "ada".parse().unwrap();
        let new = NewUser {
            id: user,
            username,
            roles: Roles::default(),
            attributes: Attributes::default(),
            disabled: false,
            password_hash: None,
            operation: None,
        };
        store.create_user(&new).await.unwrap();
        for number in 1..=20 {
            begin(&store, session(user, number), SystemClock.now().seconds()).await;
        }
        println!("acknowledged");
        std::future::pending::<()>().await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut child = again("what_was_acknowledged_survives_a_kill", &path).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("acknowledged")));
    child.kill().unwrap();
    child.wait().unwrap();
    let store = open(&path).unwrap();
    let found = store.sessions_of(user).await.unwrap();
    assert_eq!((found.sessions.len(), found.corrupt.len()), (20, 0));
    assert!(found.user.is_some());
}

#[tokio::test]
async fn a_store_that_is_dropped_or_closed_can_be_opened_again_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut users = Vec::new();
    for round in 0..4 {
        let store = open(&path).unwrap();
        users.push(some_user(&store).await);
        for user in &users {
            assert!(store.user(*user).await.unwrap().is_some());
        }
        if round % 2 == 0 {
            store.close().await;
            drop(open(&path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_that_wait_share_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store")).unwrap();
    let user = some_user(&store).await;
    let mut steps = Vec::new();
    for number in 0..64 {
        let began = begin(&store, session(user, number), SystemClock.now().seconds()).await;
        steps.push(rotation(&began));
    }
    let before = store.stats();
    let outcomes = join_all(steps.iter().map(|step| store.rotate(step))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Rotated::Applied(_)))));
    let after = store.stats();
    assert_eq!(after.operations - before.operations, 64);
    assert!(after.commits - before.commits <= 8, "{} commits", after.commits - before.commits);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_concerns_its_session_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    let user = some_user(&store).await;
    let now = SystemClock.now().seconds();
    let (good, bad) =
        (begin(&store, session(user, 1), now).await, begin(&store, session(user, 2), now).await);
    drop(store);
    plant(&path, bad.session, &[2; 64]);

    let store = open(&path).unwrap();
    let (bads, goods) = (rotation(&bad), rotation(&good));
    let outcomes = join_all([store.rotate(&bads), store.rotate(&goods)]).await;
    assert!(matches!(&outcomes[0], Err(StoreError::Corrupt(_))), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Ok(Rotated::Applied(_))), "its neighbour in the batch: {outcomes:?}");
    let unreadable = store.observe(bad.session).await;
    assert!(matches!(&unreadable, Err(StoreError::Corrupt(text)) if text.contains("version 2")));
    let found = store.sessions_of(user).await.unwrap();
    assert_eq!((found.sessions.len(), found.corrupt.len()), (1, 1));
    let taken = BeginStep { changes: Vec::new(), ..bad.clone() };
    assert_eq!(store.begin_session(&taken).await.unwrap(), Begun::Blocked);

    // Another session's end leaves it alone; its own removes it, for it may be alive and nobody could end it else.
    let end = |scope| EndStep {
        user,
        scope,
        begun_before: None,
        reason: EndReason::RevokedByAdmin,
        note: EndNote::default(),
    };
    let others = store.end_sessions(&end(Scope::AllBut(bad.session.session))).await.unwrap();
    assert_eq!(others.ended, [good.session.session]);
    assert_eq!(store.sessions_of(user).await.unwrap().corrupt.len(), 1);
    let own = store.end_sessions(&end(Scope::All)).await.unwrap();
    assert_eq!((own.covered, own.ended), (2, vec![bad.session.session]));
    assert_eq!(store.observe(bad.session).await.unwrap().seen.session, None);
    assert_eq!(store.sessions_of(user).await.unwrap().corrupt.len(), 0);
}

fn plant(path: &Path, session: SessionRef, bytes: &[u8]) {
    let mut key = [0; 32];
    key[..16].copy_from_slice(session.user.as_bytes());
    key[16..].copy_from_slice(session.session.as_bytes());
    let database = Database::open(path).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(SESSIONS).unwrap().insert(&key, bytes).unwrap();
    writing.commit().unwrap();
}

#[tokio::test]
async fn a_sweep_forgets_the_long_dead_in_small_steps_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = ManualClock::at(UnixSeconds(AROUND).millis());
    let housekeeping = Housekeeping { look_at: 4, forget_at_most: 2, ..Housekeeping::default() };
    let store = EmbeddedStore::open_with(&path, Arc::new(clock.clone()), housekeeping).unwrap();
    let user = some_user(&store).await;
    for number in 1..=10 {
        begin(&store, session(user, number), clock.now().seconds()).await;
    }
    assert_eq!(sweep_all(&store).await, 0, "the living stay");
    clock.advance(Duration::from_hours(24));
    begin(&store, session(user, 11), clock.now().seconds()).await;
    assert_eq!(sweep_all(&store).await, 0, "the dead are remembered for a while");
    clock.advance(housekeeping.forget_after);
    clock.set(UnixMillis(clock.now().0 - 12 * 60 * 60 * 1000));
    assert_eq!(sweep_all(&store).await, 10);
    let left = store.sessions_of(user).await.unwrap().sessions;
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [session(user, 11).session]);
}

async fn sweep_all(store: &EmbeddedStore) -> usize {
    let (mut forgotten, mut after) = (0, None);
    loop {
        let swept = store.sweep(after).await.unwrap();
        assert!(swept.forgotten <= 2, "in small steps");
        forgotten += swept.forgotten;
        after = swept.reached;
        if after.is_none() {
            return forgotten;
        }
    }
}

#[tokio::test]
async fn what_is_not_our_database_is_an_error_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for text in [b"SQLite format 3\0".repeat(1000), vec![0; 70_000], b"x".to_vec()] {
        fs::write(&path, &text).unwrap();
        let error = open(&path).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), text);
        fs::remove_file(&path).unwrap();
    }
    let foreign = Database::create(&path).unwrap();
    let writing = foreign.begin_write().unwrap();
    writing.open_table(TableDefinition::<u64, u64>::new("other")).unwrap().insert(1, 1).unwrap();
    writing.commit().unwrap();
    drop(foreign);
    assert!(matches!(open(&path), Err(OpenError::Foreign(_))));
    assert!(matches!(open(directory.path()), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn a_file_that_lacks_later_tables_gains_them_and_keeps_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    let user = some_user(&store).await;
    let began = begin(&store, session(user, 1), SystemClock.now().seconds()).await;
    drop(store);
    remove_table(&path, "audit");
    remove_table(&path, "skeletons");
    for number in 0..2 {
        let store = open(&path).unwrap();
        let name = store.user(user).await.unwrap().unwrap().profile.username;
        assert_eq!(store.claim_skeleton(&name, UserId::from_bytes([9; 16])).await, Ok(false));
        assert_eq!(store.audit(Trail::Acts, None, 10).await.unwrap().len(), number);
        store.append_audit(Trail::Acts, b"record", 10).await.unwrap();
        assert_eq!(store.observe(began.session).await.unwrap().seen.session, Some(began.record));
    }
    remove_table(&path, "sessions");
    assert!(matches!(open(&path), Err(OpenError::Damaged { .. })), "what was always there must be there");
}

fn remove_table(path: &Path, name: &str) {
    let database = Database::open(path).unwrap();
    let writing = database.begin_write().unwrap();
    let table = writing.list_tables().unwrap().find(|table| table.name() == name).unwrap();
    assert!(writing.delete_table(table).unwrap());
    writing.commit().unwrap();
}

async fn numbers(store: &dyn Store, trail: Trail) -> Vec<u8> {
    let kept = store.audit(trail, None, usize::MAX).await.unwrap();
    assert!(kept.is_sorted_by(|later, earlier| later.id > earlier.id));
    kept.iter().map(|entry| entry.record[0]).collect()
}

#[tokio::test]
async fn a_trail_is_trimmed_from_its_old_end_and_shrinks_to_a_lower_limit_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = ManualClock::at(UnixSeconds(AROUND).millis());
    let store = EmbeddedStore::open(&path, Arc::new(clock.clone())).unwrap();
    let append = async |store: &EmbeddedStore, number: u8, keep| {
        store.append_audit(Trail::Acts, &[number], keep).await.unwrap();
    };
    let latest = |count: u8, last: u8| (0..count).map(|back| last - back).collect::<Vec<_>>();
    for number in 0..50 {
        // The clock goes back as often as it goes on.
        clock.set(UnixMillis(clock.now().0 + 1000 - 2000 * u64::from(number % 2)));
        append(&store, number, 40).await;
    }
    assert_eq!(numbers(&store, Trail::Acts).await, latest(40, 49));
    store.append_audit(Trail::Refused, &[7], 1).await.unwrap();
    append(&store, 50, 10).await;
    assert_eq!(numbers(&store, Trail::Acts).await, latest(25, 50), "sixteen at once");
    append(&store, 51, 10).await;
    append(&store, 52, 10).await;
    assert_eq!(numbers(&store, Trail::Acts).await, latest(10, 52));
    // Neither a closed file nor a clock a year back changes the order.
    drop(store);
    clock.set(UnixMillis(clock.now().0 - 365 * 24 * 60 * 60 * 1000));
    let store = EmbeddedStore::open(&path, Arc::new(clock.clone())).unwrap();
    append(&store, 53, 10).await;
    assert_eq!(numbers(&store, Trail::Acts).await, latest(10, 53));
    append(&store, 54, 0).await;
    assert_eq!(numbers(&store, Trail::Acts).await, Vec::<u8>::new());
    append(&store, 55, 10).await;
    assert_eq!(numbers(&store, Trail::Acts).await, [55]);
    assert_eq!(numbers(&store, Trail::Refused).await, [7], "the trails are apart");
}

#[tokio::test]
async fn a_later_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let writing = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, &[u8]>::new("relatch");
    writing.open_table(meta).unwrap().insert("layout", b"2".as_slice()).unwrap();
    writing.commit().unwrap();
    drop(database);
    assert!(matches!(open(&path), Err(OpenError::Layout { found, .. }) if found == "2"));
}

#[tokio::test]
async fn a_damaged_file_makes_nobody_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    let user = some_user(&store).await;
    for number in 0..50 {
        begin(&store, session(user, number), SystemClock.now().seconds()).await;
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let truncated = [1, 9, 64, 320, 4095, 4096, 8192, whole.len() / 2].map(|len| whole[..len].to_vec());
    for bytes in truncated {
        fs::write(&path, &bytes).unwrap();
        let error = open(&path).err();
        assert!(matches!(error, Some(OpenError::Damaged { .. })), "{} bytes: {error:?}", bytes.len());
    }
    // A flipped byte may go unnoticed until it is read; then it is an error of the store, not the end of it.
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        if let Ok(store) = open(&path) {
            let _ = store.sessions_of(user).await;
            let _ = store.rotate(&rotation(&begin_like(session(user, 3)))).await;
            drop(store);
        }
        // Nobody died with the file in their hands.
        assert!(!matches!(open(&path), Err(OpenError::InUse(_))), "byte {at}");
    }
}

fn begin_like(session: SessionRef) -> BeginStep {
    let record = live_record(SystemClock.now().seconds());
    BeginStep {
        session,
        record,
        details: SessionDetails::default(),
        thumbprint: None,
        changes: Vec::new(),
        max_found: usize::MAX,
        checked_hash: None,
        operation: None,
    }
}
