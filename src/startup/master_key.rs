//! Where the master key comes from: the configuration, or, with the embedded store, a file beside the database that
//! is made at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::ambient::Random;
use crate::keys::master::MasterKey;

/// The name of the file beside the database.
const FILE_NAME: &str = "master.key";

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
    let folder = beside.parent().unwrap_or(Path::new(""));
    let path = folder.join(FILE_NAME);
    match fs::read_to_string(&path) {
        Ok(text) => read(&path, text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(source) => Err(NoMasterKey::Io { path, source }),
    }
}

fn read(path: &Path, text: String) -> Result<MasterKey, NoMasterKey> {
    let text = Zeroizing::new(text);
    MasterKey::from_base64(text.trim()).map_err(|_| NoMasterKey::Malformed(path.to_owned()))
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
