//! The way of a command to the store: through the running server, or without one.

use std::path::PathBuf;

use super::Failure;
use crate::app::cutoff::sweep_now;
use crate::operator::{Command, Reply, execute, socket};
use crate::settings::{Settings, StoreUrl};
use crate::startup::{OpenStore, open_store};

/// How commands reach the store.
pub(super) enum Door {
    /// A running server carries them out.
    Server(PathBuf),
    /// No server answers: we carry them out.
    Store {
        /// The store, opened by us.
        store: Box<OpenStore>,
        /// Whether nobody else can use it meanwhile.
        exclusive: bool,
    },
}

impl Door {
    /// With the embedded store a running server owns the file, so it is asked first.
    pub(super) async fn find(settings: &Settings) -> Result<Self, Failure> {
        if let Some(path) = settings.admin.socket.clone()
            && socket::answers(&path).await
        {
            return Ok(Self::Server(path));
        }
        let store = Box::new(open_store(settings).await?);
        Ok(Self::Store { store, exclusive: matches!(settings.store.url, StoreUrl::Embedded(_)) })
    }

    /// Has a command carried out. A refusal is a failure.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, Failure> {
        let reply = match self {
            Self::Server(path) => socket::ask(path, &command).await.map_err(|error| {
                Failure::NotDone(format!("the running server ({}): {error}", path.display()))
            })?,
            Self::Store { store, .. } => {
                let reply = execute(store.app(), command).await;
                if matches!(reply, Reply::CutoffRaised { .. }) {
                    // A server sweeps behind itself.
                    sweep_now(store.app()).await;
                }
                reply
            }
        };
        match reply {
            Reply::Refused { message } => Err(Failure::NotDone(message)),
            reply => Ok(reply),
        }
    }

    /// Whether others can change what is in the store while we look.
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self, Self::Store { exclusive: true, .. })
    }
}

/// Finds the door and has one command carried out.
pub(super) async fn ask(settings: &Settings, command: Command) -> Result<Reply, Failure> {
    Door::find(settings).await?.ask(command).await
}

/// Has a command carried out by the running server, and by nobody else. If none runs, `instead` says what that means.
pub(super) async fn ask_server(
    settings: &Settings,
    command: Command,
    instead: &str,
) -> Result<Reply, Failure> {
    match settings.admin.socket.clone() {
        Some(path) if socket::answers(&path).await => Door::Server(path).ask(command).await,
        _ => Err(Failure::NotDone(format!("no server answers at admin.socket; {instead}"))),
    }
}

/// An answer that belongs to another question.
pub(super) fn unexpected(_: Reply) -> Failure {
    Failure::NotDone("the server answered something else; is it of another version?".to_owned())
}
