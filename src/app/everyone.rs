//! The end of sessions of all users, a page of users at a time.

use futures_util::{StreamExt as _, stream};
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::{EndReason, SessionRecord};
use relatch_domain::user::Username;
use relatch_domain::{SessionId, SessionRef, UserId};

use super::App;
use crate::store::{EndNote, EndStep, JournalWrite, NewEntry, StoreError, UserQuery};

/// How many users a page has.
const PAGE: usize = 64;
/// Of how many users sessions are ended at the same time.
const AT_ONCE: usize = 16;

/// Which sessions of each user end, and why.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) scope: Scope,
    pub(super) reason: EndReason,
    pub(super) note: EndNote,
}

impl Ending {
    /// Whether each session that ends is announced.
    const fn is_announced(&self) -> bool {
        !matches!(self.scope, Scope::SignedInBefore(_))
    }
}

async fn announce(
    app: &App,
    ending: &Ending,
    user: UserId,
    dead: &[(SessionId, SessionRecord)],
) -> Result<(), StoreError> {
    let of = |session: &SessionId| SessionRef { user, session: *session };
    let news = dead.iter().filter(|(session, record)| app.is_news(of(session), record));
    let entry = |(session, _): &(SessionId, SessionRecord)| {
        NewEntry::unrecorded(Revocation::Session { session: of(session), reason: ending.reason })
    };
    let entries: Vec<_> = news.map(entry).collect();
    if !entries.is_empty() {
        app.write_journal(JournalWrite { entries, ..JournalWrite::default() }).await?;
    }
    Ok(())
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Users who were looked at.
    pub(super) users: usize,
    /// Live sessions that have ended.
    pub(super) ended: usize,
    /// Whether as many replicas have heard of all that as the configuration asks for.
    pub(super) durable: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self { users: 0, ended: 0, durable: true }
    }
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
    let since = app.since();
    let query = UserQuery { after: after.cloned(), limit: PAGE, ..UserQuery::default() };
    let users = app.store.list_users(&query).await?;
    let last = users.last().filter(|_| users.len() == PAGE).map(|user| user.profile.username.clone());
    let end = |user| async move {
        let Ending { scope, reason, note } = ending.clone();
        (user, app.store.end_sessions(&EndStep { user, scope, reason, note }).await)
    };
    let mut ends = stream::iter(users.iter().map(|user| end(user.id))).buffer_unordered(AT_ONCE);
    let mut failed = None;
    while let Some((user, outcome)) = ends.next().await {
        match outcome {
            Ok(ended) => {
                tally.ended += ended.ended.len();
                tally.durable &= ended.durable;
                if ending.is_announced() {
                    announce(app, ending, user, &ended.dead).await?;
                }
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if ending.is_announced() {
        tally.durable = app.in_force(since, tally.durable).await;
    }
    if let Some(error) = failed {
        return Err(error);
    }
    tally.users += users.len();
    Ok(last)
}
