//! Joining a store: it must be ours, keys must be there, and somebody must be able to sign in.

use std::sync::Arc;
use std::time::Duration;

use relatch_domain::base64url;
use relatch_domain::password_rules::Password;
use relatch_domain::user::{Role, Roles};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{NotJoined, NotOurStore, StartError};
use super::parts::Parts;
use super::{Announce, Announcement};
use crate::app::cutoff::follow_cutoff;
use crate::app::origin::Origin;
use crate::app::revocations::follow_revocations;
use crate::app::users::{NewAccount, create_user, list_users};
use crate::app::{App, Failure};
use crate::store::{Marker, Store, UserCreation, UserQuery};

/// How long to wait before the store is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often a node looks for revocations: in force within a second everywhere, with a slow answer in between.
const FOLLOW_REVOCATIONS: Duration = Duration::from_millis(300);
/// How often a node looks for keys that others have added.
const FOLLOW_KEYS: Duration = Duration::from_secs(5);

/// Joins the store once. False if it is away and may be joined later.
///
/// # Errors
/// If it can never be joined as things are.
pub(super) async fn at_start(parts: &Parts, announce: Option<Announce>) -> Result<bool, StartError> {
    match join(parts, announce.as_ref()).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_outage() => {
            tracing::warn!(%error, "the store is away; answering 503 until it is there");
            Ok(false)
        }
        Err(error) => Err(StartError::Join(error)),
    }
}

/// Tries until the store is joined.
pub(super) async fn in_background(parts: Arc<Parts>, announce: Option<Announce>) {
    let mut last = String::new();
    loop {
        match join(&parts, announce.as_ref()).await {
            Ok(()) => return tracing::info!("joined the store"),
            Err(error) => {
                // Told once, not four times a second.
                let told = error.to_string();
                if told != last {
                    tracing::error!(%error, "the store is not joined yet");
                    last = told;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Loads the keys now and then, so that a node knows those that others have added.
pub(super) async fn follow_keys(parts: Arc<Parts>) {
    let store = parts.backend.handle();
    loop {
        tokio::time::sleep(FOLLOW_KEYS).await;
        if parts.keys.snapshot().is_some()
            && let Err(error) = parts.keys.reload(&*store).await
        {
            tracing::warn!(%error, "the keys could not be loaded again; going on with those at hand");
        }
    }
}

/// Looks for a later cutoff and for revocations all the time, and announces what this node could not yet.
pub(super) async fn follow_what_is_revoked(parts: Arc<Parts>) {
    let app = parts.app();
    let mut away = false;
    loop {
        tokio::time::sleep(FOLLOW_REVOCATIONS).await;
        if parts.keys.snapshot().is_none() {
            continue;
        }
        let followed = match follow_cutoff(&app).await {
            Ok(()) => follow_revocations(&app).await,
            failed => failed,
        };
        // Told once, not three times a second.
        if let Err(error) = &followed
            && !away
        {
            tracing::warn!(%error, "revocations could not be looked up; going on with those at hand");
        }
        away = followed.is_err();
    }
}

async fn join(parts: &Parts, announce: Option<&Announce>) -> Result<(), NotJoined> {
    let app = parts.app();
    identify(parts, &*app.store).await?;
    let administrator = first_user(parts, &app).await?;
    // Before the keys, without which nothing is served.
    follow_cutoff(&app).await?;
    follow_revocations(&app).await?;
    parts.keys.load_or_create(&*app.store, &*parts.clock, app.random).await?;
    if let (Some(made), Some(announce)) = (administrator, announce) {
        announce(&made);
    }
    Ok(())
}

/// Checks that the store is ours: that of our issuer, made under a master key that we have.
pub(super) async fn identify(parts: &Parts, store: &dyn Store) -> Result<(), NotJoined> {
    let store_id = parts.random.bytes::<16>().map_err(Failure::from)?;
    let masters = parts.keys.masters();
    let found = store
        .identify(&Marker {
            store_id: base64url::encode(&store_id),
            issuer: parts.issuer.name().to_owned(),
            master_key_check: masters.check_value().to_owned(),
        })
        .await?;
    if found.issuer != parts.issuer.name() {
        let ours = parts.issuer.name().to_owned();
        return Err(NotOurStore::Issuer { theirs: found.issuer, ours }.into());
    }
    if !masters.check_values().contains(&found.master_key_check.as_str()) {
        return Err(NotOurStore::MasterKey.into());
    }
    Ok(())
}

/// Makes an administrator while there is no user at all. Of nodes that start at once, the one whose user is created
/// announces it.
async fn first_user(parts: &Parts, app: &App) -> Result<Option<Announcement>, NotJoined> {
    if !list_users(app, &UserQuery { limit: 1, ..UserQuery::default() }).await?.is_empty() {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| NotJoined::Bootstrap(error.to_string());
    let (password, made_up) = if let Some(configured) = &parts.bootstrap.password {
        (configured.clone(), None)
    } else {
        let made_up = make_up_password(parts)?;
        (Password::parse(made_up.expose_secret()).map_err(|error| wrong(&error))?, Some(made_up))
    };
    let roles = [Role::ADMIN, Role::USER].map(str::parse::<Role>);
    let roles = roles.into_iter().collect::<Result<std::collections::BTreeSet<_>, _>>();
    let roles = Roles::try_from(roles.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    let username = parts.bootstrap.username.clone();
    let account = NewAccount::of(username.clone(), roles, password);
    match create_user(app, &Origin::server(), account).await? {
        UserCreation::Created(_) => {
            Ok(Some(Announcement::AdministratorMade { username: username.to_string(), password: made_up }))
        }
        UserCreation::NameTaken => Ok(None),
    }
}

/// 120 random bits in letters and digits, easy to copy.
fn make_up_password(parts: &Parts) -> Result<SecretString, NotJoined> {
    let random = parts.random.bytes::<15>().map_err(Failure::from)?;
    Ok(base64url::encode(&random).into())
}
