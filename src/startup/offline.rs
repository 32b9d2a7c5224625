//! A store without a server: for the command line.

use super::error::NotOurStore;
use super::error::StartError;
use super::join::{ours, own_marker};
use super::parts::Parts;
use crate::app::App;
use crate::app::cutoff::follow_cutoff;
use crate::settings::Settings;

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
    Ok(OpenStore { app })
}
