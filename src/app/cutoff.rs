//! The cutoff: whoever signed in before it is signed out.
//!
//! The store keeps it, every node holds it in memory and hands it to the guards, and to the check of an access token
//! that asks no store. It is in force with that: the sweep, which gives the sessions their tombstones, only tidies up.
//! Should it break off, no session comes back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use relatch_domain::UnixSeconds;
use relatch_domain::event::Event;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::session::EndReason;
use tokio::sync::watch;

use super::audit::AuditRecord;
use super::everyone::{Ending, Tally, end_page};
use super::origin::Origin;
use super::{App, Failure};
use crate::store::{CutoffRaised, EndNote, JournalWrite, NewEntry, StoreError};

/// Rest between two pages of a sweep, so that refreshes come first.
const BETWEEN_PAGES: Duration = Duration::from_millis(20);
/// Rest before a page that failed is taken again.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// The latest cutoff that a node has heard of. It never goes back.
#[derive(Debug, Default)]
pub struct KnownCutoff(AtomicU32);

impl KnownCutoff {
    /// The cutoff; zero if there is none.
    pub fn get(&self) -> UnixSeconds {
        UnixSeconds(self.0.load(Ordering::Acquire))
    }

    /// Learns of a cutoff. Gives the latest one known.
    pub(super) fn learn(&self, cutoff: UnixSeconds) -> UnixSeconds {
        UnixSeconds(self.0.fetch_max(cutoff.0, Ordering::AcqRel)).max(cutoff)
    }
}

/// What came of raising the cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It stands at this point now, which may be later than asked for: it never goes back.
    InForce(UnixSeconds),
    /// It is in force, but too few replicas have heard of it: whoever asked should repeat.
    NotDurable,
    /// The point lies in the future by the store's time: nothing has changed.
    InFuture,
}

impl App {
    /// How refresh tokens rotate at this moment: the configured policy with the cutoff.
    pub fn rotation_policy(&self) -> RotationPolicy {
        RotationPolicy { cutoff: self.node.cutoff.get(), ..self.policy.rotation }
    }
}

/// Signs out everyone who signed in before a point in time: at once on this node, within a second on all others. Orders
/// a sweep, for which [`sweep_when_ordered`] must be running; what is in force does not wait for it.
///
/// # Errors
/// If the store fails.
pub async fn raise_cutoff(
    app: &App,
    origin: &Origin,
    wanted: UnixSeconds,
    note: Option<String>,
) -> Result<Raised, Failure> {
    let since = app.since();
    let (cutoff, durable) = match app.store.raise_cutoff(wanted).await? {
        CutoffRaised::InFuture => return Ok(Raised::InFuture),
        CutoffRaised::Raised { cutoff, durable } => (cutoff, durable),
    };
    app.node.cutoff.learn(cutoff);
    app.node.sweeps.order(SweepOrder { cutoff, note: origin.end_note(None, note) });
    let event = Event::CutoffRaised { cutoff };
    app.note(origin, &event);
    let record = AuditRecord::of(origin, &event, app.clock.now()).to_json();
    let entries = vec![NewEntry::unrecorded(Revocation::SignedInBefore(cutoff))];
    let records = record.into_iter().collect();
    let write = JournalWrite { entries, records, ..JournalWrite::default() };
    let durable = app.write_journal(write).await?.durable && durable;
    origin.told.set();
    let durable = app.in_force(since, durable).await;
    Ok(if durable { Raised::InForce(cutoff) } else { Raised::NotDurable })
}

/// Looks what the store has. A later cutoff is learned; to a store that has an earlier one, since it was set back by a
/// failover, the later one is written again.
///
/// # Errors
/// If the store fails. The cutoff at hand stays.
pub async fn follow_cutoff(app: &App) -> Result<(), StoreError> {
    let found = app.store.cutoff().await?;
    let known = app.node.cutoff.learn(found);
    if found < known
        // A store whose clock is behind has to wait for its own time.
        && matches!(app.store.raise_cutoff(known).await?, CutoffRaised::Raised { .. })
    {
        let (found, known) = (found.0, known.0);
        tracing::warn!(event = "cutoff_restored", found, known, "the store had an earlier cutoff");
    }
    Ok(())
}

/// A sweep to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepOrder {
    /// Sessions that began before this get their tombstones.
    pub cutoff: UnixSeconds,
    /// Kept beside each of them.
    pub note: EndNote,
}

/// The sweep that a node has yet to make. One is enough: a later cutoff covers an earlier one.
#[derive(Debug, Default)]
pub(super) struct SweepOrders(watch::Sender<Option<SweepOrder>>);

impl SweepOrders {
    fn order(&self, order: SweepOrder) {
        self.0.send_if_modified(|waiting| {
            let is_news = waiting.as_ref().is_none_or(|waiting| waiting.cutoff <= order.cutoff);
            if is_news {
                *waiting = Some(order);
            }
            is_news
        });
    }
}

/// Makes the sweeps that this node is ordered to make, one after the other. Never ends.
pub async fn sweep_when_ordered(app: &App) {
    let mut orders = app.node.sweeps.0.subscribe();
    loop {
        // The first time this may be an order that came before anybody listened.
        let order = orders.borrow_and_update().clone();
        if let Some(order) = order {
            sweep(app, &order).await;
        }
        if orders.changed().await.is_err() {
            return;
        }
    }
}

/// Makes the sweep that is ordered, if one is: for the command line, alone on a store.
pub async fn sweep_now(app: &App) {
    let order = app.node.sweeps.0.borrow().clone();
    if let Some(order) = order {
        sweep(app, &order).await;
    }
}

/// Gives all sessions that began before the cutoff their tombstones, in small steps, and waits while the store is away.
pub async fn sweep(app: &App, order: &SweepOrder) {
    let scope = Scope::SignedInBefore(order.cutoff);
    let ending = Ending { scope, reason: EndReason::SignedInBefore, note: order.note.clone() };
    let (mut tally, mut after) = (Tally::default(), None);
    loop {
        match end_page(app, &ending, after.as_ref(), &mut tally).await {
            Ok(None) => break,
            Ok(last) => {
                after = last;
                tokio::time::sleep(BETWEEN_PAGES).await;
            }
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::error!(%error, "the sweep ends early; the cutoff is in force without it");
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "the sweep waits for the store");
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
    let (users, sessions) = (tally.users, tally.ended);
    app.tell(&Origin::server(), &Event::CutoffSwept { cutoff: order.cutoff, users, sessions }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_cutoff_never_goes_back() {
        let known = KnownCutoff::default();
        assert_eq!(known.learn(UnixSeconds(7)), UnixSeconds(7));
        assert_eq!(known.learn(UnixSeconds(5)), UnixSeconds(7));
        assert_eq!(known.get(), UnixSeconds(7));
    }

    #[test]
    fn of_two_orders_the_later_cutoff_stays() {
        let orders = SweepOrders::default();
        let order = |cutoff| SweepOrder { cutoff: UnixSeconds(cutoff), note: EndNote::default() };
        for (cutoff, expected) in [(5, 5), (9, 9), (7, 9)] {
            orders.order(order(cutoff));
            assert_eq!(*orders.0.borrow(), Some(order(expected)));
        }
    }
}
