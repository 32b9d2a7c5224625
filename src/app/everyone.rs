//! The end of sessions of all users, a page of users at a time.

use futures_util::{StreamExt as _, stream};
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::user::Username;
use relatch_domain::{UnixMillis, UserId};

use super::App;
use crate::store::{EndNote, EndStep, StoreError, UserQuery};

/// How many users a page has.
const PAGE: usize = 64;
/// Of how many users sessions are ended at the same time.
const AT_ONCE: usize = 16;

/// Which sessions of each user end, and why. None of them is announced by itself: every node holds the cutoff.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) scope: Scope,
    /// Those that began before this.
    pub(super) before: UnixMillis,
    pub(super) reason: EndReason,
    pub(super) note: EndNote,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Users who were looked at.
    pub(super) users: usize,
    /// Live sessions that have ended.
    pub(super) ended: usize,
}

/// Ends the sessions of the users of one page, those after `after`. Gives the last one's name; nothing after the last
/// page.
///
/// # Errors
/// The first error of the store. The other users of the page are seen to nevertheless, and counted; the page may be
/// taken again.
pub(super) async fn end_page(
    app: &App,
    ending: &Ending,
    after: Option<&Username>,
    tally: &mut Tally,
) -> Result<Option<Username>, StoreError> {
    let query = UserQuery { after: after.cloned(), limit: PAGE, ..UserQuery::default() };
    let users = app.store.list_users(&query).await?;
    let last = users.last().filter(|_| users.len() == PAGE).map(|user| user.profile.username.clone());
    let end = |user: UserId| async move {
        let Ending { scope, before, reason, note } = ending.clone();
        let step = EndStep { user, scope, begun_before: Some(before), reason, note };
        app.store.end_sessions(&step).await
    };
    let mut ends = stream::iter(users.iter().map(|user| end(user.id))).buffer_unordered(AT_ONCE);
    let mut failed = None;
    while let Some(outcome) = ends.next().await {
        match outcome {
            Ok(ended) => tally.ended += ended.ended.len(),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    tally.users += users.len();
    Ok(last)
}
