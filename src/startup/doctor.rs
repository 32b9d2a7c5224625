//! Looking at a store whether it is fit: for `relatch doctor`, and now and then for a server that serves from it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::{NotOurStore, StartError};
use super::join::ours;
use super::master_key;
use super::parts::{Parts, redis_settings};
use crate::ambient::Clock;
use crate::doctor::clock::CLOCK;
use crate::doctor::{Finding, Severity, judge};
use crate::settings::{Settings, StoreUrl};
use crate::store::redis::inspect::inspect;
use crate::store::redis::{OpenError, RedisSettings};

/// How often a server looks.
const EVERY: Duration = Duration::from_secs(30);

/// What is wrong with the store that the settings name. Nothing is written to it.
///
/// # Errors
/// If the settings fit no store, or the embedded store cannot be opened.
pub async fn examine_store(settings: &Settings) -> Result<Vec<Finding>, StartError> {
    let patient = Patient::of(settings);
    if let Patient::File(file) = &patient {
        return Ok(examine_file(file));
    }
    let parts = Parts::open(settings, None).await?;
    let mut findings = patient.findings(&*parts.clock).await?;
    let marker = parts.plain_app().store.marker().await;
    if let Ok(Some(marker)) = marker
        && let Err(wrong) = ours(&parts, marker)
    {
        findings.insert(0, not_ours(&wrong));
    }
    Ok(findings)
}

/// What is looked at.
pub(super) enum Patient {
    Redis(Box<RedisSettings>),
    File(EmbeddedFile),
}

/// The file of the embedded store.
pub(super) struct EmbeddedFile {
    path: PathBuf,
    /// Whether the master key is in a file beside it, and not in the settings.
    has_master_key_beside: bool,
}

impl Patient {
    pub(super) fn of(settings: &Settings) -> Self {
        match &settings.store.url {
            StoreUrl::Redis(url) => Self::Redis(Box::new(redis_settings(&settings.store, url))),
            StoreUrl::Embedded(path) => Self::File(EmbeddedFile {
                path: path.clone(),
                has_master_key_beside: settings.master_key.is_none(),
            }),
        }
    }

    async fn findings(&self, clock: &dyn Clock) -> Result<Vec<Finding>, OpenError> {
        match self {
            Self::Redis(settings) => Ok(judge(&inspect(settings, clock).await?, settings.sync_replicas)),
            Self::File(file) => Ok(examine_file(file)),
        }
    }
}

/// Looks at the store for ever, for `/health/ready` on the operators' listener, and logs what breaks a promise when it is first found.
pub(super) async fn look_now_and_then(patient: Patient, parts: Arc<Parts>) {
    let app = parts.app();
    loop {
        match patient.findings(&*parts.clock).await {
            Ok(mut findings) => {
                // Of clocks more is known by whoever looks at them all the time.
                let measured = app.node.store_clock.last();
                findings.retain(|finding| {
                    finding.finding != CLOCK
                        || !measured.iter().any(|one| finding.at.as_ref() == Some(&one.at))
                });
                for Finding { finding, at, what, why, change, .. } in app.node.checkup.learn(findings) {
                    let at = at.unwrap_or_default();
                    tracing::error!(
                        finding,
                        at,
                        what,
                        why,
                        change,
                        "the store is not fit for what is promised"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "the store cannot be looked at"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn not_ours(wrong: &NotOurStore) -> Finding {
    Finding {
        severity: Severity::Error,
        finding: "another_store",
        at: None,
        what: wrong.to_string(),
        why: "a server with these settings does not serve from it",
        change: "the settings, or the store that they name".to_owned(),
    }
}

/// The embedded store is one file of one server: all that it needs is that no one else can open it, or the master key beside it.
fn examine_file(file: &EmbeddedFile) -> Vec<Finding> {
    let at = |path: &Path| Some(path.display().to_string());
    let mut findings = Vec::new();
    match std::fs::metadata(&file.path).map(|found| found.permissions().mode() & 0o777) {
        Ok(mode) if mode & 0o077 != 0 => findings.push(Finding {
            severity: Severity::Warning,
            finding: "file_mode",
            at: at(&file.path),
            what: format!("its mode is {mode:o}"),
            why: "others on this machine can read password hashes, or change who is signed in",
            change: "chmod 600".to_owned(),
        }),
        Ok(_) => {}
        Err(_) => findings.push(Finding {
            severity: Severity::Note,
            finding: "no_file",
            at: at(&file.path),
            what: "there is no such file yet".to_owned(),
            why: "there is nothing to look at before the server has made it",
            change: "relatch serve".to_owned(),
        }),
    }
    let exposed = if file.has_master_key_beside { master_key::open_to_others(&file.path) } else { None };
    findings.extend(exposed.map(|(path, mode)| Finding {
        severity: Severity::Warning,
        finding: "master_key_mode",
        at: at(&path),
        what: format!("the mode of the master key is {mode:o}"),
        why: "others on this machine can read or replace it: with it and the store they can make tokens of any user",
        change: "chmod 600".to_owned(),
    }));
    findings.sort_by_key(|finding| finding.severity);
    findings
}
