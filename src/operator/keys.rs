//! Commands about the keys that sign access tokens.

use super::command::Reply;
use super::{Done, Stop};
use crate::app::keys::{NotRotated, list_keys, rotate_keys};
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
        Ok(key) => Ok(Reply::Key { key: key.into() }),
        Err(NotRotated::NoSuchKey) => Err(Stop::unknown("key", revoke.unwrap_or_default(), None)),
        Err(NotRotated::NoRoom(wait)) => Err(Stop::refused(format_args!(
            "so many keys were retired lately that one more would make the key set too long; there is room for it in {} s \
             (a key that has leaked can be revoked at any time: --revoke KEY)",
            wait.as_secs() + 1
        ))),
    }
}
