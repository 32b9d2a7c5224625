//! The database file: opening it safely, and telling what is wrong with it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableHandle, WriteTransaction};

use super::skeletons;
use super::tables::{AUDIT, META, NAMES, SKELETONS, Snapshot, Tables};

/// The layout of the tables that this code reads and writes.
const LAYOUT: &[u8] = b"1";
const LAYOUT_KEY: &str = "layout";
/// Memory for pages of the file. The operating system keeps its own copy as well.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why the database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has the file open.
    #[error(
        "{} is in use by another process: an embedded store serves one server. Stop the other one, give this one \
         a file of its own, or use Redis for several servers", .0.display()
    )]
    InUse(PathBuf),
    /// The file is not a database, or not all of it is there.
    #[error("{} cannot be read as a database ({reason}). Restore it from a backup or move it away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// The file is a database of some other program.
    #[error("{} is a database that Relatch did not make. Choose another file", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a version of Relatch that this one does not know.
    #[error("{} has layout {found:?}, this version knows 1. Use the version that wrote it", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// The layout that it says it has.
        found: String,
    },
    /// The file or its directory cannot be reached.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Opens the file, or makes it and its directory if there is none: readable by this user only.
pub(super) fn create(path: &Path) -> Result<Database, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io_error)?;
    let file = open_file(path, true).map_err(io_error)?;
    // A file restored from a backup may have got wider permissions; it holds password hashes.
    if file.metadata().map_err(io_error)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io_error)?;
    }
    let database = guarded(path, file)?;
    // Or the file's name could be lost in a power failure, and all that was acknowledged with it.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error)?;
    Ok(database)
}

/// Opens the file again after it failed. Never makes a new one: a file that is gone must not turn into an empty store
/// that tells every client that its session does not exist.
pub(super) fn reopen(path: &Path) -> Result<Database, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let file = open_file(path, false).map_err(io_error)?;
    if file.metadata().map_err(io_error)?.len() == 0 {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: "it is empty".to_owned() });
    }
    guarded(path, file)
}

fn open_file(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

/// Opens the database. A file that somebody has tampered with may take the library by surprise: that is damage, too.
fn guarded(path: &Path, file: File) -> Result<Database, OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = builder().create_file(file).map_err(|error| of_database(path, error))?;
        check_layout(path, &database)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(damaged("reading it failed".to_owned())))
}

/// How the file is opened, apart from where it is.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(|repair| {
        tracing::info!(progress = repair.progress(), "the database was not closed, checking it");
    });
    builder
}

/// Makes the tables of a new file; checks that an existing one is ours.
pub(super) fn check_layout(path: &Path, database: &Database) -> Result<(), OpenError> {
    let failed = |error: redb::Error| of_storage(path, error);
    let reading = database.begin_read().map_err(|error| failed(error.into()))?;
    let tables: Vec<_> = reading.list_tables().map_err(|error| failed(error.into()))?.collect();
    let multimaps = reading.list_multimap_tables().map_err(|error| failed(error.into()))?.count();
    if tables.is_empty() && multimaps == 0 {
        drop(reading);
        let writing = database.begin_write().map_err(|error| failed(error.into()))?;
        return initialise(writing).map_err(failed);
    }
    if !tables.iter().any(|table| table.name() == META.name()) {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let meta = reading.open_table(META).map_err(|error| failed(error.into()))?;
    match meta.get(LAYOUT_KEY).map_err(|error| failed(error.into()))? {
        Some(layout) if layout.value() == LAYOUT => {}
        Some(layout) => {
            let found = String::from_utf8_lossy(layout.value()).into_owned();
            return Err(OpenError::Layout { path: path.to_owned(), found });
        }
        None => return Err(OpenError::Foreign(path.to_owned())),
    }
    let has = |name: &str| tables.iter().any(|table| table.name() == name);
    if !has(AUDIT.name()) || !has(SKELETONS.name()) {
        // A file without names is damaged, and stays so.
        gain_later_tables(database, has(NAMES.name())).map_err(failed)?;
    }
    check_tables(database).map_err(failed)
}

/// All tables must be there: a file that lacks one has lost it.
fn check_tables(database: &Database) -> Result<(), redb::Error> {
    Ok(Snapshot::open(&database.begin_read()?).map(drop)?)
}

/// Makes the tables that a file of this layout may lack, for it was made before there were any.
fn gain_later_tables(database: &Database, has_names: bool) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(AUDIT)?;
    if has_names {
        skeletons::keep_all(&writing)?;
    }
    Ok(writing.commit()?)
}

fn initialise(writing: WriteTransaction) -> Result<(), redb::Error> {
    Tables::open(&writing)?.meta.insert(LAYOUT_KEY, LAYOUT)?;
    Ok(writing.commit()?)
}

fn of_database(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(source)) => of_io(path, source),
        other => OpenError::Damaged { path: path.to_owned(), reason: other.to_string() },
    }
}

fn of_storage(path: &Path, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Io(source) => of_io(path, source),
        other => OpenError::Damaged { path: path.to_owned(), reason: other.to_string() },
    }
}

/// Of the errors of the operating system, those that a file with too few or wrong bytes causes are damage.
fn of_io(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path, reason: source.to_string() }
        }
        _ => OpenError::Io { path, source },
    }
}
