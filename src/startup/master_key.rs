//! Where the master key comes from: the configuration, or, with the embedded store, a file beside the database that
//! is made at the first start.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::ambient::Random;
use crate::files;
use crate::keys::master::MasterKey;

/// The name of the file beside the database.
const FILE_NAME: &str = "master.key";
/// Most bytes of it: far more than a key has.
const MAX_LEN: u64 = 1024;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum NoMasterKey {
    /// The file cannot be read or made.
    #[error("master key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What the file holds is no key.
    #[error("master key file {}: it does not hold 32 bytes in Base64", .0.display())]
    Malformed(PathBuf),
    /// The machine has no randomness to make one from.
    #[error(transparent)]
    NoEntropy(#[from] crate::ambient::NoEntropy),
}

/// The key in the file beside the database `beside`; made (mode 0600) if it is not there.
///
/// # Errors
/// Why there is none.
pub(super) fn find_or_make(beside: &Path) -> Result<MasterKey, NoMasterKey> {
    let path = path_beside(beside);
    match files::read(&path, MAX_LEN) {
        Ok(text) => {
            if let Some((path, mode)) = open_to_others(beside) {
                tracing::warn!(
                    event = "master_key_exposed",
                    path = %path.display(),
                    mode = format!("{mode:o}"),
                    "others on this machine can open the master key: make its mode 0600"
                );
            }
            read(&path, &text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(source) => Err(NoMasterKey::Io { path, source }),
    }
}

/// The file with the key beside the database `beside`, and its mode, if others than the server's own user may read or write
/// it. Nothing if there is no such file, or it cannot be looked at.
pub(super) fn open_to_others(beside: &Path) -> Option<(PathBuf, u32)> {
    let path = path_beside(beside);
    let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some((path, mode))
}

fn path_beside(database: &Path) -> PathBuf {
    database.parent().unwrap_or(Path::new("")).join(FILE_NAME)
}

fn read(path: &Path, text: &[u8]) -> Result<MasterKey, NoMasterKey> {
    let malformed = || NoMasterKey::Malformed(path.to_owned());
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    MasterKey::from_base64(text.trim()).map_err(|_| malformed())
}

fn make(path: &Path) -> Result<MasterKey, NoMasterKey> {
    let key = MasterKey::generate(Random)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(key.to_base64().as_bytes())?;
        file.write_all(b"\n")?;
        // A database whose key was lost in a crash is worth nothing.
        file.sync_all()
    })();
    match written {
        Ok(()) => Ok(key),
        Err(source) => Err(NoMasterKey::Io { path: path.to_owned(), source }),
    }
}
