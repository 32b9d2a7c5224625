//! How a server ends: gracefully when it is asked to, and at once when it is asked again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::supervisor;
use crate::app::node::NodeState;

/// Stops a server from anywhere.
#[derive(Clone)]
pub struct Stop(Vec<ServerHandle>);

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

impl Stop {
    pub(super) const fn of(listeners: Vec<ServerHandle>) -> Self {
        Self(listeners)
    }

    /// Takes nothing new, and stops when what is under way has been answered.
    pub fn gracefully(&self) {
        for handle in &self.0 {
            drop(handle.stop(true));
        }
    }

    /// Stops at once, whatever is under way.
    pub fn now(&self) {
        for handle in &self.0 {
            // The order to stop is sent at once; waiting for the end is up to whoever runs the server.
            drop(handle.stop(false));
        }
    }
}

/// Has the server stop gracefully at the first SIGTERM or SIGINT, `delay` after it has said that it is not ready any more.
/// Returns at the second signal.
pub(super) async fn asked_to_stop_twice(stop: &Stop, node: &NodeState, delay: Duration) {
    asked_to_stop().await;
    node.leaving.store(true, Ordering::Relaxed);
    supervisor::stopping();
    if !delay.is_zero() {
        let seconds = delay.as_secs_f64();
        tracing::info!(event = "leaving", seconds, "not ready any more, but serving for this long");
    }
    let again = asked_to_stop();
    tokio::pin!(again);
    let at_once = tokio::select! {
        () = &mut again => true,
        () = sleep(delay) => false,
    };
    if !at_once {
        tracing::info!(
            event = "stopping",
            "taking no more requests; those that are under way are answered first"
        );
        stop.gracefully();
        again.await;
    }
    tracing::warn!(event = "stopping", "asked once more: what is under way is not answered");
}

/// Goes on when the terminal is closed that the server was started from (SIGHUP), and when a supervisor asks it to load its
/// configuration again, which it does not do while it runs. Never ends.
pub(super) async fn outlive_terminal() {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        tracing::info!(event = "hangup", "SIGHUP: serving on; settings are read at the start only");
    }
}

/// Returns at SIGTERM or SIGINT.
async fn asked_to_stop() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals are not heard: stop the server by SIGKILL");
            std::future::pending::<()>().await;
        }
    }
}
