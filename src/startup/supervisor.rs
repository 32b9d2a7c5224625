//! What systemd is told of the process, if it was started by it (`sd_notify(3)`, `Type=notify`). Nothing without `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// The server listens.
pub(super) fn listening() {
    tell(NotifyState::Ready);
}

/// The server was asked to stop.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told how the server stands");
    }
}
