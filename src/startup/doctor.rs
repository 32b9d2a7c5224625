//! Looking at a store without joining it: for `relatch doctor`.

use super::error::{NotOurStore, StartError};
use super::join::ours;
use super::parts::{Parts, redis_settings};
use crate::doctor::{Finding, Severity, judge};
use crate::settings::{Settings, StoreUrl};
use crate::store::redis::inspect::inspect;

/// What is wrong with the store that the settings name. Nothing is written to it.
///
/// # Errors
/// If the settings fit no store, or the embedded store cannot be opened.
pub async fn examine_store(settings: &Settings) -> Result<Vec<Finding>, StartError> {
    let url = match &settings.store.url {
        StoreUrl::Redis(url) => url,
        StoreUrl::Embedded(path) => return Ok(examine_file(path)),
    };
    let parts = Parts::open(settings, None).await?;
    let facts = inspect(&redis_settings(&settings.store, url), &*parts.clock).await?;
    let mut findings = judge(&facts, settings.store.sync_replicas);
    let marker = parts.plain_app().store.marker().await;
    if let Ok(Some(marker)) = marker
        && let Err(wrong) = ours(&parts, marker)
    {
        findings.insert(0, not_ours(&wrong));
    }
    Ok(findings)
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
fn examine_file(path: &std::path::Path) -> Vec<Finding> {
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
