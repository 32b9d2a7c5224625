//! What becomes of waiting operations when the disk fails, stalls, or an operation panics.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};
use std::{fs, io};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use relatch_domain::SessionId;
use relatch_domain::attributes::Attributes;
use relatch_domain::user::Roles;
use tokio::sync::Notify;

use super::*;
use crate::ambient::{Random, SystemClock};

/// A disk that fails or stalls when it is told to.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<DiskState>);

#[derive(Debug, Default)]
struct DiskState {
    fails: AtomicBool,
    stalls: Mutex<bool>,
    goes_on: Condvar,
    /// Somebody waits for the disk.
    reached: Notify,
}

impl Disk {
    fn set_failing(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    fn set_stalling(&self, stalls: bool) {
        *self.0.stalls.lock().unwrap() = stalls;
        self.0.goes_on.notify_all();
    }

    fn wait(&self) -> io::Result<()> {
        let mut stalls = self.0.stalls.lock().unwrap();
        while *stalls {
            self.0.reached.notify_one();
            stalls = self.0.goes_on.wait(stalls).unwrap();
        }
        if self.0.fails.load(Ordering::SeqCst) { Err(io::Error::other("no space left")) } else { Ok(()) }
    }

    fn open(&self, path: &Path) -> Result<Database, OpenError> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let backend = FileBackend::new(file.unwrap()).unwrap();
        let on_disk = OnDisk { backend, disk: self.clone() };
        let opened = file::builder().create_with_backend(on_disk);
        let failed = |error: redb::DatabaseError| OpenError::Io {
            path: path.to_owned(),
            source: io::Error::other(error.to_string()),
        };
        let database = opened.map_err(failed)?;
        file::check_layout(path, &database)?;
        Ok(database)
    }
}

#[derive(Debug)]
struct OnDisk {
    backend: FileBackend,
    disk: Disk,
}

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.wait()?;
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }
}

struct Stage {
    disk: Disk,
    store: EmbeddedStore,
    /// Lives as long as the store.
    _directory: tempfile::TempDir,
}

fn stage(housekeeping: Housekeeping) -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), directory.path().join("store"));
    let database = disk.open(&path).unwrap();
    let again = disk.clone();
    let reopen = Box::new(move || again.open(&path));
    let store = EmbeddedStore::start(database, Arc::new(SystemClock), reopen, housekeeping).unwrap();
    Stage { disk, store, _directory: directory }
}

fn new_user(name: &str) -> NewUser {
    let id = UserId::from_bytes(Random.bytes().unwrap());
    NewUser {
        id,
        username: name.parse().unwrap(),
        roles: Roles::default(),
        attributes: Attributes::default(),
        disabled: false,
        password_hash: None,
        operation: None,
    }
}

/// Waits until the writer, which tries once a second, has opened the database again.
async fn until_open(store: &EmbeddedStore) {
    while store.shared.database.load().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failed_commit_is_indeterminate_and_the_store_recovers() {
    let Stage { disk, store, _directory, .. } = stage(Housekeeping::default());
    let (before, during, after) = (new_user("before"), new_user("during"), new_user("after"));
    store.create_user(&before).await.unwrap();
    disk.set_failing(true);
    let failed = store.create_user(&during).await;
    assert!(matches!(failed, Err(StoreError::Indeterminate(_))), "{failed:?}");
    let refused = store.create_user(&during).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    disk.set_failing(false);
    until_open(&store).await;
    assert!(matches!(store.create_user(&after).await, Ok(UserCreation::Created(_))));
    assert!(store.user(before.id).await.unwrap().is_some());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_gone_does_not_come_back_empty() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(file::create(&path).unwrap());
    drop(file::reopen(&path).unwrap());
    fs::write(&path, []).unwrap();
    assert!(matches!(file::reopen(&path), Err(OpenError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(file::reopen(&path), Err(OpenError::Io { .. })));
    assert!(!path.exists());
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit_not_even_who_wrote_nothing() {
    let Stage { disk, store, _directory, .. } = stage(Housekeeping::default());
    let user = new_user("ada");
    disk.set_stalling(true);
    let writes = tokio::spawn({
        let (store, user) = (store.clone(), user.clone());
        async move { store.create_user(&user).await }
    });
    let nowhere = SessionRef { user: user.id, session: SessionId::from_bytes([1; 16]) };
    let record = relatch_domain::testing::live_record(relatch_domain::UnixSeconds(1));
    let step = SwapStep { session: nowhere, as_seen: record, new: record };
    let blocked = tokio::spawn({
        let store = store.clone();
        async move { store.swap(&step).await }
    });
    disk.0.reached.notified().await;
    assert!(!writes.is_finished() && !blocked.is_finished());
    assert_eq!(store.stats().commits, 0);
    assert_eq!(store.user(user.id).await.unwrap(), None, "what is not committed is not read");
    disk.set_stalling(false);
    assert!(matches!(writes.await.unwrap(), Ok(UserCreation::Created(_))));
    assert!(matches!(blocked.await.unwrap(), Ok(Rotated::Blocked(_))));
    assert!((1..=2).contains(&store.stats().commits));
}

#[tokio::test]
async fn an_operation_that_panics_takes_nothing_down_and_leaves_nothing_behind() {
    let Stage { store, _directory, .. } = stage(Housekeeping::default());
    let user = new_user("ada");
    let half = user.clone();
    let half_done = store
        .queue
        .run(move |tables, now| {
            users::create(tables, now, &half)?;
            assert_eq!(now.0, 0, "as a bug would");
            Ok(())
        })
        .await;
    assert!(matches!(half_done, Err(StoreError::Unavailable(_))), "{half_done:?}");
    assert_eq!(store.user(user.id).await.unwrap(), None);
    assert!(matches!(store.create_user(&user).await, Ok(UserCreation::Created(_))));
}

#[tokio::test]
async fn the_writer_sweeps_by_itself() {
    let every = Duration::from_millis(1);
    let Stage { store, _directory, .. } = stage(Housekeeping { every, ..Housekeeping::default() });
    let user = new_user("ada");
    store.create_user(&user).await.unwrap();
    let session = SessionRef { user: user.id, session: SessionId::from_bytes([1; 16]) };
    let record = relatch_domain::testing::live_record(relatch_domain::UnixSeconds(1));
    let details = crate::store::SessionDetails::default();
    let step = BeginStep {
        session,
        record,
        details,
        thumbprint: None,
        changes: Vec::new(),
        max_found: usize::MAX,
        checked_hash: None,
        operation: None,
    };
    assert_eq!(store.begin_session(&step).await.unwrap(), Begun::Begun);
    while store.observe(session).await.unwrap().seen.session.is_some() {
        tokio::task::yield_now().await;
    }
    assert!(store.user(user.id).await.unwrap().is_some());
}

#[tokio::test]
async fn who_asks_a_closed_store_is_told_so() {
    let Stage { store, _directory, .. } = stage(Housekeeping::default());
    let clone = store.clone();
    store.close().await;
    store.close().await;
    assert!(matches!(clone.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(clone.create_user(&new_user("ada")).await, Err(StoreError::Unavailable(_))));
}
