//! `relatch serve`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::ExposeSecret as _;

use super::{Failure, Surroundings};
use crate::http;
use crate::settings::StoreUrl;
use crate::startup::{self, Announcement, Server};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Write the address of the main listener to this file once the server answers.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) fn run(command: Serve, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let loaded = surroundings.load_silently()?;
    let settings = &loaded.settings;
    telemetry::log::start(&settings.log, http::SILENT);
    telemetry::panics::report();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let embedded = matches!(settings.store.url, StoreUrl::Embedded(_));
    let around = startup::Surroundings {
        announce: Some(Arc::new(move |announcement| announce(announcement, embedded))),
        ready_file: command.ready_file,
        signals: true,
        ..startup::Surroundings::default()
    };
    startup::block_on(async {
        let server = Server::build(settings, around).await?;
        server.run().await.map_err(|error| Failure::NotDone(format!("the server broke off: {error}")))
    })
}

/// Tells the operator on standard output, not in the log: one of these is a password.
fn announce(announcement: &Announcement, embedded: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match announcement {
        Announcement::AdministratorMade { username, password: Some(password) } => writeln!(
            out,
            "\n  The administrator has been made. The password is shown this once:\n\n    \
             user name  {username}\n    password   {}\n",
            password.expose_secret()
        ),
        Announcement::AdministratorMade { username, password: None } => {
            writeln!(out, "The administrator {username} has been made, with the configured password.")
        }
        Announcement::Listening { scheme, main, .. } => {
            let address = main.first().map(ToString::to_string).unwrap_or_default();
            tracing::info!(event = "listening", address, "listening on {scheme}://{address}");
            if embedded { next_steps(&mut out, &format!("{scheme}://{address}")) } else { Ok(()) }
        }
    }?;
    out.flush()
}

/// What to try next.
fn next_steps(out: &mut impl Write, base: &str) -> std::io::Result<()> {
    // As it was called: it may not be on the path.
    let program = std::env::args().next().unwrap_or_else(|| "relatch".to_owned());
    writeln!(
        out,
        "  Sign in      curl {base}/login --json '{{\"username\":\"admin\",\"password\":\"…\"}}'\n  \
         Add a user   {program} user add ada\n  \
         Look around  {base}/\n"
    )
}
