//! Looking at the store: which processes it consists of, whether they are the ones that are served from, and whether they
//! have what must not be lost.

use std::time::{Duration, Instant};

use relatch_domain::UnixMillis;

use super::error::{NotJoined, NotOurStore};
use super::join::join;
use super::keeper::Keeper;
use crate::app::cutoff::follow_cutoff;
use crate::app::journal::{follow_journal, hear_out};
use crate::app::membership::Standing;
use crate::app::restore::{Restored, begin_again, end_again, last_sign_ins, tell_restored};
use crate::doctor::clock::{ClockOffset, Crossed};
use crate::doctor::{Finding, Severity};
use crate::keys::error::KeysError;
use crate::store::{Look, Marker, Shard, Shards, ShownTime, StoreError};

/// How long a process may take to say what it took last: it may be dead.
const LAST_WORDS: Duration = Duration::from_millis(200);

impl Keeper {
    /// Looks at every shard and examines those that are not certain; follows what the store tells.
    ///
    /// # Errors
    /// The first trouble, when everything has been done that it leaves to be done.
    pub(super) async fn look(&mut self) -> Result<(), NotJoined> {
        let shards = self.app.store.shards().await?;
        self.compare_clocks(&shards.clocks);
        let has_joined = self.known.is_some();
        let known = match (&self.known, shards.away.first()) {
            (Some(known), _) => known.clone(),
            (None, Some(away)) if away.is_replica && shards.there.is_empty() => {
                self.app.node.membership.stands(Standing::AtReplica);
                return Err(away.clone().into());
            }
            (None, _) => self.join(&shards).await?,
        };
        self.hear_out(&shards).await;
        let mut troubles = Vec::new();
        for shard in &shards.there {
            troubles.extend(self.look_at(shard.clone(), &known, has_joined).await.err());
        }
        // After that, so that whoever waits for one of them finds another open.
        self.forget_others(&shards);
        troubles.extend(shards.away.into_iter().map(NotJoined::from));
        let membership = &self.app.node.membership;
        if !self.served.is_empty() {
            membership.stands(Standing::Member);
        } else if troubles.iter().any(|trouble| matches!(trouble, NotJoined::NotOurs(_))) {
            membership.stands(Standing::Estranged);
        } else if troubles.iter().any(|trouble| matches!(trouble, NotJoined::AtReplica { .. })) {
            membership.stands(Standing::AtReplica);
        }
        if !self.served.is_empty() {
            troubles.extend(follow_cutoff(&self.app).await.err().map(NotJoined::from));
            // What was due before the journal was followed: by then it says what has ended.
            let due_at = Instant::now();
            match follow_journal(&self.app).await {
                Ok(()) => troubles.extend(self.begin_again(due_at).await.err().map(NotJoined::from)),
                Err(error) => troubles.push(error.into()),
            }
        }
        troubles.into_iter().next().map_or(Ok(()), Err)
    }

    /// Compares the store's clocks with the node's own.
    fn compare_clocks(&self, shown: &[ShownTime]) {
        let offsets = shown.iter().map(|shown| self.offset(shown)).collect();
        match self.app.node.store_clock.learn(offsets) {
            Some(Crossed::Beyond(Finding { severity, at, what, why, change, .. })) => {
                let at = at.unwrap_or_default();
                if severity == Severity::Error {
                    tracing::error!(
                        at,
                        what,
                        why,
                        change,
                        "the store's clock and this server's are not in step"
                    );
                } else {
                    tracing::warn!(
                        at,
                        what,
                        why,
                        change,
                        "the store's clock and this server's are not in step"
                    );
                }
            }
            Some(Crossed::Back) => tracing::info!("the store's clock and this server's are in step again"),
            None => {}
        }
    }

    fn offset(&self, shown: &ShownTime) -> ClockOffset {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let signed = |time: UnixMillis| i64::try_from(time.0).unwrap_or(i64::MAX);
        let half = shown.round_trip / 2;
        // What both showed when the answer was there.
        let theirs = signed(shown.time).saturating_add(millis(half));
        let ours = signed(self.app.clock.now()).saturating_sub(millis(shown.heard.elapsed()));
        ClockOffset {
            at: shown.at.clone(),
            ahead: theirs.saturating_sub(ours),
            error: u64::try_from(half.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Hears out those that have been replaced, as far as they still answer. Not of a Cluster, where one that is replaced by
    /// order has handed over everything.
    async fn hear_out(&self, shards: &Shards) {
        let is_somewhere = |at: &str| {
            shards.there.iter().any(|there| there.at == at) || shards.away.iter().any(|away| away.at == at)
        };
        for gone in self.served.iter().filter(|served| served.slots.is_none() && !is_somewhere(&served.at)) {
            let at = &gone.at;
            match tokio::time::timeout(LAST_WORDS, hear_out(&self.app, gone)).await {
                Ok(Ok(())) => {
                    tracing::info!(at, "another process has taken its place; what it took last is known");
                }
                Ok(Err(error)) => {
                    tracing::info!(at, %error, "another process has taken its place; it is silent");
                }
                Err(_) => tracing::info!(at, "another process has taken its place; it is silent"),
            }
        }
    }

    /// Nothing is served any more from processes that are not a part of the store now. One that only does not answer may
    /// still be.
    fn forget_others(&mut self, shards: &Shards) {
        self.served.retain(|served| {
            shards.there.iter().any(|there| there.process == served.process)
                || shards.away.iter().any(|away| !away.is_replica && away.at == served.at)
        });
        if let Some(gate) = self.parts.backend.gate() {
            // Of those that it is shut to it must be known, too.
            let of_now =
                |process: &str| shards.there.iter().chain(&self.served).any(|shard| shard.process == process);
            gate.keep(of_now);
        }
    }

    pub(super) async fn join(&mut self, shards: &Shards) -> Result<Marker, NotJoined> {
        let joined = join(&self.parts, &self.app, self.announce.as_ref(), shards).await;
        if matches!(joined, Err(NotJoined::NotOurs(_))) {
            self.app.node.membership.stands(Standing::Estranged);
        }
        Ok(self.known.insert(joined?).clone())
    }

    async fn look_at(&mut self, shard: Shard, known: &Marker, has_joined: bool) -> Result<(), NotJoined> {
        let is_open = self.parts.backend.gate().is_none_or(|gate| gate.is_open_to(&shard.process));
        let served = self.served.iter().position(|served| served.process == shard.process);
        let look = if is_open && served.is_some() { Look::Glance } else { Look::Everywhere };
        if let Some(changed) = NotOurStore::of(self.app.store.bearing(&shard, known, look).await?) {
            self.served.retain(|served| served.process != shard.process);
            if let Some(gate) = self.parts.backend.gate() {
                gate.shut(&shard.process, &changed.to_string());
            }
            return Err(changed.into());
        }
        match served.filter(|_| is_open).and_then(|at| self.served.get_mut(at)) {
            Some(before) => {
                // It was given slots of another process, which may have lost writes shortly before.
                if let Some(new) = shard.beyond(before) {
                    let restored = end_again(&self.app, &*self.app.store, &new).await?;
                    tell_restored(&self.app, restored).await;
                    self.owed.owe(&new, last_sign_ins(&self.app, &new), Instant::now());
                }
                *before = shard;
            }
            None => self.examine(shard, known, has_joined).await?,
        }
        Ok(())
    }

    /// Opens the gate to a process that bears the marker, once it has what it may have lost.
    async fn examine(&mut self, shard: Shard, known: &Marker, has_joined: bool) -> Result<(), NotJoined> {
        // Who has just joined has nothing to give that was not read from there.
        let restored = if has_joined { Some(self.give_back(&shard).await?) } else { None };
        let now = self.app.store.shards().await?;
        if !now.there.iter().any(|other| other.process == shard.process) {
            let text = format!("the process at {} was replaced while it was examined", shard.at);
            return Err(StoreError::Unavailable(text).into());
        }
        if let Some(gate) = self.parts.backend.gate() {
            match restored {
                Some(_) => {
                    // Now, since new sign-ins displace the last ones before.
                    self.owed.owe(&shard, last_sign_ins(&self.app, &shard), Instant::now());
                    gate.open_to_successor(&shard.process, known);
                }
                None => gate.open_to(&shard.process, known),
            }
        }
        self.app.node.membership.stands(Standing::Member);
        if let Some(restored) = restored {
            let at = &shard.at;
            tracing::info!(at, ?restored, "the store is another process, and has what it may have lost");
            tell_restored(&self.app, restored).await;
        }
        self.served.retain(|served| served.process != shard.process);
        self.served.push(shard);
        Ok(())
    }

    /// Begins the sign-ins again that were due at this time.
    async fn begin_again(&mut self, due_at: Instant) -> Result<(), StoreError> {
        let due = self.owed.due(due_at);
        if !due.is_empty() {
            let (restorer, remembered) = (&self.restorer, due.len());
            match begin_again(restorer, &*restorer.store, &due).await {
                Ok(lost) => {
                    tracing::info!(remembered, lost, "the store has the last sign-ins that it may have lost");
                }
                Err(error) => {
                    self.owed.give_up(due_at);
                    return Err(error);
                }
            }
        }
        self.owed.settle(due_at);
        if let Some(gate) = self.parts.backend.gate()
            && self.owed.is_empty()
        {
            gate.owes_nothing();
        }
        Ok(())
    }

    /// Writes again what the shard may have lost. What is kept on other shards can wait for these.
    async fn give_back(&self, shard: &Shard) -> Result<Restored, NotJoined> {
        let (app, parts) = (&self.restorer, &self.parts);
        let is_part = shard.slots.is_some();
        match follow_cutoff(app).await {
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_) | StoreError::Misconfigured(_))
                if is_part => {}
            followed => followed?,
        }
        match parts.keys.load_or_create(&*app.store, &*parts.clock, app.random).await {
            Err(KeysError::Store(
                StoreError::Unavailable(_) | StoreError::Indeterminate(_) | StoreError::Misconfigured(_),
            )) if is_part => {}
            loaded => drop(loaded?),
        }
        Ok(end_again(app, &*app.store, shard).await?)
    }
}
