//! Cutoffs: every session that began before one is over, everyone's or those of a client.
//!
//! The store keeps them, every node holds them in memory and hands them to the guards, and to the check of an access token
//! that asks no store. They are in force with that: the sweep, which gives the sessions their tombstones, only tidies up.
//! Should it break off, no session comes back.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use relatch_domain::cutoff::{Cutoff, Cutoffs, Whose};
use relatch_domain::event::Event;
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::{Revocation, Scope};
use relatch_domain::{ClientNumber, UnixMillis};
use tokio::sync::watch;

use super::audit::AuditRecord;
use super::everyone::{Ending, Tally, end_page};
use super::operation::{Done, What};
use super::origin::Origin;
use super::{App, Failure};
use crate::store::{CutoffRaised, EndNote, NewEntry, StoreError};

/// Rest between two pages of a sweep, so that refreshes come first.
const BETWEEN_PAGES: Duration = Duration::from_millis(20);
/// Rest before a page that failed is taken again.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// The latest cutoffs that a node has heard of. None ever goes back.
#[derive(Debug, Default)]
pub struct KnownCutoffs(ArcSwap<Cutoffs>);

impl KnownCutoffs {
    /// All of them.
    pub fn all(&self) -> Arc<Cutoffs> {
        self.0.load_full()
    }

    /// What counts for the sessions of a client.
    pub fn of(&self, client: ClientNumber) -> Cutoff {
        self.0.load().of(client)
    }

    /// Learns of a cutoff.
    pub(super) fn learn(&self, whose: Whose, at: UnixMillis) {
        if self.0.load().at(whose) < at {
            self.0.rcu(|known| {
                let mut known = Cutoffs::clone(known);
                known.raise(whose, at);
                known
            });
        }
    }
}

/// What came of raising a cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It stands at this point now, which may be later than asked for: it never goes back.
    InForce(UnixMillis),
    /// It is in force, but too few replicas have heard of it: whoever asked should repeat.
    NotDurable,
    /// The point lies in the future by the store's time: nothing has changed.
    InFuture,
}

impl App {
    /// How refresh tokens of a client's sessions rotate at this moment: the configured policy with the cutoff.
    pub fn rotation_policy(&self, client: ClientNumber) -> RotationPolicy {
        RotationPolicy { cutoff: self.node.cutoffs.of(client), ..self.policy.rotation }
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
    wanted: UnixMillis,
    note: Option<String>,
) -> Result<Raised, Failure> {
    raise(app, origin, Whose::Everyone, wanted, note, |cutoff| Event::CutoffRaised { cutoff }).await
}

/// Ends all sessions of a client that have begun by now, of all users: in force as everyone's cutoff is.
///
/// # Errors
/// If the store fails.
pub async fn revoke_client(
    app: &App,
    origin: &Origin,
    client: &'static str,
    number: ClientNumber,
    note: Option<String>,
) -> Result<Raised, Failure> {
    let before = app.node.cutoffs.of(number).after_all(app.store.latest_time().await?);
    let event = |cutoff| Event::ClientRevoked { client, number, cutoff };
    raise(app, origin, Whose::Client(number), before, note, event).await
}

async fn raise(
    app: &App,
    origin: &Origin,
    whose: Whose,
    wanted: UnixMillis,
    note: Option<String>,
    event: impl Fn(UnixMillis) -> Event,
) -> Result<Raised, Failure> {
    let record = |event: &Event| AuditRecord::of(origin, event, app.clock.now());
    let operation = app.open(origin, What::cutoff(whose, wanted), vec![record(&event(wanted))]).await?;
    let (cutoff, durable) = match app.store.raise_cutoff(whose, wanted).await? {
        CutoffRaised::InFuture => {
            app.withdraw(operation).await;
            return Ok(Raised::InFuture);
        }
        CutoffRaised::Raised { cutoff, durable } => (cutoff, durable),
    };
    app.node.cutoffs.learn(whose, cutoff);
    app.node.sweeps.order(SweepOrder { whose, cutoff, note: origin.end_note(None, note) });
    let event = event(cutoff);
    app.note(origin, &event);
    let done = Done { entry: Some(entry(whose, cutoff)), durable, ..Done::default() };
    let in_force = app.conclude(origin, operation.recording(vec![record(&event)]), done).await?;
    Ok(if in_force { Raised::InForce(cutoff) } else { Raised::NotDurable })
}

/// How the log has a cutoff.
pub(super) fn entry(whose: Whose, cutoff: UnixMillis) -> NewEntry {
    NewEntry::unrecorded(match whose {
        Whose::Everyone => Revocation::SignedInBefore(cutoff),
        Whose::Client(client) => Revocation::Client { client, before: cutoff },
    })
}

/// Looks what the store has. Later cutoffs are learned; to a store that has an earlier one, since it was set back by a
/// failover, the later one is written again.
///
/// # Errors
/// If the store fails. The cutoffs at hand stay.
pub async fn follow_cutoff(app: &App) -> Result<(), StoreError> {
    let found = app.store.cutoffs().await?;
    for (whose, at) in found.iter() {
        app.node.cutoffs.learn(whose, at);
    }
    for (whose, known) in app.node.cutoffs.all().iter() {
        let had = found.at(whose);
        if had < known
            // A store whose clock is behind has to wait for its own time.
            && matches!(app.store.raise_cutoff(whose, known).await?, CutoffRaised::Raised { .. })
        {
            let (found, known) = (had.0, known.0);
            tracing::warn!(event = "cutoff_restored", %whose, found, known, "the store had an earlier cutoff");
        }
    }
    Ok(())
}

/// A sweep to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepOrder {
    /// Whose sessions get their tombstones.
    pub whose: Whose,
    /// Those that began before this.
    pub cutoff: UnixMillis,
    /// Kept beside each of them.
    pub note: EndNote,
}

/// The sweeps that a node has yet to make. One for each cutoff is enough: a later one covers an earlier one.
#[derive(Debug, Default)]
pub(super) struct SweepOrders(watch::Sender<Vec<SweepOrder>>);

impl SweepOrders {
    fn order(&self, order: SweepOrder) {
        self.0.send_if_modified(|waiting| {
            match waiting.iter_mut().find(|other| other.whose == order.whose) {
                Some(other) if other.cutoff > order.cutoff => false,
                Some(other) => {
                    *other = order;
                    true
                }
                None => {
                    waiting.push(order);
                    true
                }
            }
        });
    }

    /// The next sweep to make, if one is ordered.
    fn take(&self) -> Option<SweepOrder> {
        let mut taken = None;
        self.0.send_if_modified(|waiting| {
            taken = (!waiting.is_empty()).then(|| waiting.remove(0));
            false
        });
        taken
    }
}

/// Makes the sweeps that this node is ordered to make, one after the other. Never ends.
pub async fn sweep_when_ordered(app: &App) {
    let mut orders = app.node.sweeps.0.subscribe();
    loop {
        // The first time there may be orders that came before anybody listened.
        sweep_now(app).await;
        if orders.changed().await.is_err() {
            return;
        }
    }
}

/// Makes the sweeps that are ordered, if any are: for the command line, alone on a store.
pub async fn sweep_now(app: &App) {
    while let Some(order) = app.node.sweeps.take() {
        sweep(app, &order).await;
    }
}

/// Gives all sessions that began before the cutoff their tombstones, in small steps, and waits while the store is away.
pub async fn sweep(app: &App, order: &SweepOrder) {
    let scope = match order.whose {
        Whose::Everyone => Scope::All,
        Whose::Client(client) => Scope::Client(client),
    };
    let reason = order.whose.reason();
    let ending = Ending { scope, before: order.cutoff, reason, note: order.note.clone() };
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
    app.tell(&Origin::server(), &Event::CutoffSwept { cutoff: order.cutoff, reason, users, sessions }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Whose = Whose::Client(ClientNumber(7));

    #[test]
    fn a_known_cutoff_never_goes_back() {
        let known = KnownCutoffs::default();
        for (whose, at) in [(Whose::Everyone, 7), (Whose::Everyone, 5), (CLIENT, 9), (CLIENT, 8)] {
            known.learn(whose, UnixMillis(at));
        }
        assert_eq!(known.of(ClientNumber(7)).at, UnixMillis(9));
        assert_eq!(known.of(ClientNumber(8)).at, UnixMillis(7));
    }

    #[test]
    fn of_two_orders_for_the_same_sessions_the_later_cutoff_stays() {
        let orders = SweepOrders::default();
        let order =
            |whose, cutoff| SweepOrder { whose, cutoff: UnixMillis(cutoff), note: EndNote::default() };
        for cutoff in [5, 9, 7] {
            orders.order(order(Whose::Everyone, cutoff));
            orders.order(order(CLIENT, cutoff + 1));
        }
        assert_eq!(orders.take(), Some(order(Whose::Everyone, 9)));
        assert_eq!(orders.take(), Some(order(CLIENT, 10)));
        assert_eq!(orders.take(), None);
    }
}
