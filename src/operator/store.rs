//! Commands about the store itself.

use super::command::Reply;
use super::{Done, Stop};
use crate::app::App;
use crate::app::membership::{Adopted, adopt_store};

pub(super) async fn adopt(app: &App) -> Done {
    let (store_id, how) = match adopt_store(app).await {
        Some(Ok(Adopted::Known(id))) => (id, "known"),
        Some(Ok(Adopted::Marked(id))) => (id, "marked"),
        Some(Ok(Adopted::Taken(id))) => (id, "taken"),
        Some(Err(reason)) => return Err(Stop::refused(reason)),
        None => {
            return Err(Stop::refused(
                "no server answers at admin.socket; one that starts takes the store as it finds it",
            ));
        }
    };
    Ok(Reply::StoreAdopted { store_id, how: how.to_owned() })
}
