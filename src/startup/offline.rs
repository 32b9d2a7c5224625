//! A store without a server: for the command line.

use super::error::NotOurStore;
use super::error::StartError;
use super::join::{ours, own_marker};
use super::parts::{Parts, open_backend};
use crate::app::App;
use crate::app::copy::{Copied, NotCopied, copy};
use crate::app::cutoff::follow_cutoff;
use crate::app::journal::{follow_journal, tend_once};
use crate::settings::{Settings, StoreUrl};

/// A store that is ours, and the application on it. Tokens cannot be issued: the signing keys stay where they are.
pub struct OpenStore {
    app: App,
}

impl OpenStore {
    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }
}

/// Opens the store that the settings name.
///
/// # Errors
/// If it is not there, in use, or not ours.
pub async fn open_store(settings: &Settings) -> Result<OpenStore, StartError> {
    let parts = Parts::open(settings, None).await?;
    let app = parts.plain_app();
    let marker = own_marker(&parts).map_err(StartError::Join)?;
    let found = app.store.identify(&marker).await.map_err(|error| StartError::Join(error.into()))?;
    let found = found.ok_or(NotOurStore::Wiped).and_then(|found| ours(&parts, found));
    found.map_err(|error| StartError::Join(error.into()))?;
    follow_cutoff(&app).await.map_err(|error| StartError::Join(error.into()))?;
    follow_journal(&app).await.map_err(|error| StartError::Join(error.into()))?;
    tend_once(&app).await;
    Ok(OpenStore { app })
}

/// Copies the store at one URL into the one at the other, both of which no server may use meanwhile. All else that is said of
/// stores is what the settings say. `progress` is told now and then how far it has come, and of how many users.
///
/// # Errors
/// If one of the stores cannot be opened, or why the copy is not complete.
pub async fn copy_store(
    settings: &Settings,
    from: &StoreUrl,
    to: &StoreUrl,
    mut progress: impl FnMut(&Copied, u64) + Send,
) -> Result<Copied, StartError> {
    if let StoreUrl::Embedded(path) = from
        && !path.exists()
    {
        // Opening it would make it.
        return Err(StartError::Copy(NotCopied::NoSource));
    }
    let from = open_backend(settings, from, None).await?.reading_handle();
    let to = open_backend(settings, to, None).await?.plain_handle();
    copy(&*from, &*to, settings.audit.max_records, &mut progress).await.map_err(StartError::Copy)
}
