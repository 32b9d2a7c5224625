//! Commands about the keys that sign access tokens.

use super::command::Reply;
use super::{Done, Stop};
use crate::app::keys::{list_keys, rotate_keys};
use crate::app::origin::Origin;
use crate::app::{App, Failure};

pub(super) async fn list(app: &App) -> Done {
    match list_keys(app).await {
        Ok(keys) => Ok(Reply::Keys { keys: keys.into_iter().map(Into::into).collect() }),
        Err(Failure::NotReady) => Err(Stop::refused(
            "there is no key yet; a server makes one when it starts, or `relatch key rotate`",
        )),
        Err(failure) => Err(failure.into()),
    }
}

pub(super) async fn rotate(app: &App, revoke: Option<&str>) -> Done {
    match rotate_keys(app, &Origin::operator(), revoke).await? {
        Some(key) => Ok(Reply::Key { key: key.into() }),
        None => Err(Stop::unknown("key", revoke.unwrap_or_default(), None)),
    }
}
