//! Looking at a store whether it is fit: for `relatch doctor`, and now and then for a server that serves from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::{NotOurStore, StartError};
use super::join::ours;
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
    if let Patient::File(path) = &patient {
        return Ok(examine_file(path));
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
    File(PathBuf),
}

impl Patient {
    pub(super) fn of(settings: &Settings) -> Self {
        match &settings.store.url {
            StoreUrl::Redis(url) => Self::Redis(Box::new(redis_settings(&settings.store, url))),
            StoreUrl::Embedded(path) => Self::File(path.clone()),
        }
    }

    async fn findings(&self, clock: &dyn Clock) -> Result<Vec<Finding>, OpenError> {
        match self {
            Self::Redis(settings) => Ok(judge(&inspect(settings, clock).await?, settings.sync_replicas)),
            Self::File(path) => Ok(examine_file(path)),
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

/// The embedded store is one file of one server: that it can be written is all that it needs.
fn examine_file(path: &Path) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let finding = |severity, finding, what: String, why, change: &str| Finding {
        severity,
        finding,
        at: Some(path.display().to_string()),
        what,
        why,
        change: change.to_owned(),
    };
    let Ok(found) = std::fs::metadata(path) else {
        let why = "there is nothing to look at before the server has made it";
        return vec![finding(
            Severity::Note,
            "no_file",
            "there is no such file yet".to_owned(),
            why,
            "relatch serve",
        )];
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = "others on this machine can read password hashes, or change who is signed in";
        return vec![finding(
            Severity::Warning,
            "file_mode",
            format!("its mode is {mode:o}"),
            why,
            "chmod 600",
        )];
    }
    Vec::new()
}
