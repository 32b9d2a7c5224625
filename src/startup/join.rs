//! Joining a store: it must be ours, keys must be there, and somebody must be able to sign in.

use std::time::Duration;

use relatch_domain::base64url;

use super::Announce;
use super::bootstrap::first_administrator;
use super::error::{NotJoined, NotOurStore};
use super::parts::Parts;
use crate::app::cutoff::follow_cutoff;
use crate::app::journal::{declare_lifetime, follow_journal};
use crate::app::keys::rotate_keys_when_due;
use crate::app::{App, Failure};
use crate::store::{Look, Marker, Shards};

/// How often a node looks for keys that others have added.
const FOLLOW_KEYS: Duration = Duration::from_secs(5);

/// Loads the keys now and then, so that a node knows those that others have added, rotates them when they are due, and
/// removes those whose time is over.
pub(super) async fn follow_keys(app: &App) {
    loop {
        tokio::time::sleep(FOLLOW_KEYS).await;
        if app.keys.snapshot().is_none() {
            continue;
        }
        if let Err(error) = app.keys.tend(&*app.store, &*app.clock, app.random).await {
            tracing::warn!(%error, "the keys could not be loaded again; going on with those at hand");
        } else if let Err(error) = rotate_keys_when_due(app).await {
            tracing::warn!(%error, "the signing key is due to be followed by the next one, but was not; to be tried again");
        }
    }
}

/// Joins a store: makes it ours if it is nobody's, and loads what is served from it. Gives its marker.
///
/// # Errors
/// If the store fails or cannot be joined.
pub(super) async fn join(
    parts: &Parts,
    app: &App,
    announce: Option<&Announce>,
    shards: &Shards,
) -> Result<Marker, NotJoined> {
    let found = app.store.identify(&own_marker(parts)?).await?;
    let marker = under_our_master_key(parts, app, ours(parts, found.ok_or(NotOurStore::Wiped)?)?).await?;
    complete_unless_used(app, shards, &marker).await?;
    // Before the keys, without which nothing is served.
    follow_cutoff(app).await?;
    follow_journal(app).await?;
    declare_lifetime(app).await?;
    parts.keys.load_or_create(&*app.store, &*parts.clock, app.random).await?;
    // Last: the operator who is shown the password can use it.
    first_administrator(parts, app, announce).await?;
    Ok(marker)
}

/// The marker once it is that of the master key in use: then the one before it can be done without.
async fn under_our_master_key(parts: &Parts, app: &App, found: Marker) -> Result<Marker, NotJoined> {
    let check = parts.keys.masters().check_value();
    if found.master_key_check == check {
        return Ok(found);
    }
    let marker = Marker { master_key_check: check.to_owned(), ..found };
    app.store.relabel(&marker).await?;
    tracing::info!("the store is under the new master key");
    Ok(marker)
}

/// The marker for a store that has none.
pub(super) fn own_marker(parts: &Parts) -> Result<Marker, NotJoined> {
    let store_id = parts.random.bytes::<16>().map_err(Failure::from)?;
    Ok(Marker {
        store_id: base64url::encode(&store_id),
        issuer: parts.issuer.name().to_owned(),
        master_key_check: parts.keys.masters().check_value().to_owned(),
    })
}

/// Of a store that has lost a part, what is missing may have been in it: users and keys are made only in a store that is
/// complete.
async fn complete_unless_used(app: &App, shards: &Shards, marker: &Marker) -> Result<(), NotJoined> {
    let store = &app.store;
    if store.count_users().await? > 0 && !store.keys().await?.keys.is_empty() {
        return Ok(());
    }
    for shard in &shards.there {
        if let Some(why) = NotOurStore::of(store.bearing(shard, marker, Look::Everywhere).await?) {
            return Err(why.into());
        }
    }
    match shards.away.first() {
        Some(away) => Err(away.error.clone().into()),
        None => Ok(()),
    }
}

/// Checks that a store's marker is ours: of our issuer, and made under a master key that we have.
pub(super) fn ours(parts: &Parts, found: Marker) -> Result<Marker, NotOurStore> {
    if found.issuer != parts.issuer.name() {
        let ours = parts.issuer.name().to_owned();
        return Err(NotOurStore::Issuer { theirs: found.issuer, ours });
    }
    if !parts.keys.masters().check_values().contains(&found.master_key_check.as_str()) {
        return Err(NotOurStore::MasterKey);
    }
    Ok(found)
}
