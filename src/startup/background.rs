//! What goes on beside the listeners.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::App;
use crate::operator::socket::AdminSocket;

/// How long operators' commands that are under way when the server is to stop may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Tasks that end when this is dropped.
#[derive(Default)]
pub(super) struct Background {
    tasks: Vec<JoinHandle<()>>,
    commands: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Background {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(actix_web::rt::spawn(task));
    }

    /// Carries out what operators ask for through a socket.
    pub(super) fn take_commands(&mut self, socket: AdminSocket, app: App) {
        let (stop, stopping) = watch::channel(false);
        self.commands = Some((stop, actix_web::rt::spawn(socket.serve(Arc::new(app), stopping))));
    }

    /// Takes no more commands, and waits until those that are under way are answered.
    pub(super) async fn finish_commands(&mut self) {
        let Some((stop, serving)) = &mut self.commands else { return };
        let _ = stop.send(true);
        if timeout(DRAIN, serving).await.is_err() {
            tracing::warn!(
                event = "stopping",
                "operators' commands are still under way; their answer is lost"
            );
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let commands = self.commands.iter().map(|(_, serving)| serving);
        self.tasks.iter().chain(commands).for_each(JoinHandle::abort);
    }
}
