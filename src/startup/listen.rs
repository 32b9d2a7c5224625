//! The sockets that the server listens on, and the file that says where.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::settings::Listen;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// What Linux says if it was built or started without the family of addresses.
const EAFNOSUPPORT: i32 = 97;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct NoListener {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds every address that the setting stands for. Port 0 picks one port for all of them. A family of addresses that
/// the machine does not have is passed over.
///
/// # Errors
/// If none can be bound, or one is in use.
pub(super) fn bind(key: &'static str, listen: Listen) -> Result<Vec<TcpListener>, NoListener> {
    let mut sockets: Vec<TcpListener> = Vec::new();
    let mut passed_over = None;
    for mut address in listen.addresses() {
        if let (0, Some(Ok(first))) = (address.port(), sockets.first().map(TcpListener::local_addr)) {
            address.set_port(first.port());
        }
        let failed = |source| NoListener { key, address, source };
        match listener(address) {
            Ok(socket) => sockets.push(socket),
            Err(error) if is_missing_family(&error) => passed_over = Some(failed(error)),
            Err(error) => return Err(failed(error)),
        }
    }
    match passed_over {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// Whether the machine has no addresses of this family at all.
fn is_missing_family(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, Unsupported};
    matches!(error.kind(), AddrNotAvailable | Unsupported) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restarted server must not wait for the old one's connections to fade.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Where the sockets are bound.
///
/// # Errors
/// If the operating system does not tell.
pub(super) fn addresses(sockets: &[TcpListener]) -> Result<Vec<SocketAddr>, super::StartError> {
    sockets.iter().map(TcpListener::local_addr).collect::<io::Result<_>>().map_err(super::StartError::Listen)
}

/// Writes the address in one line, so that whoever waits for the file sees it whole.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_ready_file(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // What lies there may be a link to something else, made by whoever may write in the directory.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    file.write_all(format!("{address}\n").as_bytes())?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_both_loopback_addresses_on_one_port() {
        let sockets = bind("http.listen", Listen::Localhost { port: 0 }).unwrap();
        let addresses = addresses(&sockets).unwrap();
        let ports: std::collections::BTreeSet<_> = addresses.iter().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 1, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn an_address_in_use_is_named_with_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let message = bind("ops.listen", Listen::Address(address)).unwrap_err().to_string();
        assert!(message.starts_with(&format!("ops.listen: cannot listen on {address}: ")), "{message}");
    }

    #[test]
    fn a_ready_file_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready");
        write_ready_file(&path, "127.0.0.1:80".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1:80\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_ready_file_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("ready"), dir.path().join("precious"));
        fs::write(&precious, "everything").unwrap();
        for name in ["ready", "ready.new"] {
            std::os::unix::fs::symlink(&precious, dir.path().join(name)).unwrap();
        }
        write_ready_file(&path, "127.0.0.1:80".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "everything");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
