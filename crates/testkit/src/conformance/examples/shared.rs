//! The cutoffs and the audit trails, of which a store has one and two. The store may be in use: others may have raised
//! the one and written into the others before, though not at the same time.

use relatch::ambient::Clock;
use relatch::store::{CutoffRaised, EntryId, Trail, TrailEntry};
use relatch_domain::cutoff::Whose;
use relatch_domain::{ClientNumber, UnixMillis};

use super::{Stage, some_name};

impl Stage {
    pub(super) async fn cutoffs_only_rise_and_everyones_not_into_the_future(&self) {
        let now = self.clock.now();
        let raised = |cutoff| CutoffRaised::Raised { cutoff, durable: true };
        let earlier = UnixMillis(now.0 - 10);
        let future = UnixMillis(now.0 + 1);
        let raise = async |to| self.store.raise_cutoff(Whose::Everyone, to).await.unwrap();
        let everyones = async || self.store.cutoffs().await.unwrap().everyone;
        let before = everyones().await;
        assert!(before <= earlier, "nobody has raised it so far");
        assert_eq!(raise(future).await, CutoffRaised::InFuture);
        assert_eq!(everyones().await, before);
        assert_eq!(raise(earlier).await, raised(earlier));
        assert_eq!(raise(UnixMillis(1)).await, raised(earlier), "it never goes back");
        assert_eq!(raise(earlier).await, raised(earlier));
        assert_eq!(everyones().await, earlier);
        assert_eq!(raise(now).await, raised(now), "this very millisecond is not the future");
        assert_eq!(raise(future).await, CutoffRaised::InFuture);
        assert_eq!(everyones().await, now);
        assert_eq!(self.store.latest_time().await.unwrap(), now);

        // Of its own, and made by a server: the part of the store that keeps it may have another clock.
        let client = Whose::Client(ClientNumber(300));
        let raise = async |to| self.store.raise_cutoff(client, to).await.unwrap();
        assert_eq!(raise(earlier).await, raised(earlier));
        assert_eq!(raise(future).await, raised(future));
        assert_eq!(raise(now).await, raised(future));
        let cutoffs = self.store.cutoffs().await.unwrap();
        assert_eq!((cutoffs.at(client), cutoffs.at(Whose::Everyone)), (future, now));
    }

    pub(super) async fn trails_are_kept_apart_and_read_backwards(&self) {
        let mark = some_name("").to_string();
        let (acts, refused) = (Trail::Acts, Trail::Refused);
        let record = |number: u8| [mark.as_bytes(), &[0, 0xff, number]].concat();
        for number in 0..7 {
            // A clock that goes back puts no record before an earlier one.
            self.clock.set(UnixMillis(self.clock.now().0 - u64::from(number % 2) * 5000));
            self.store.append_audit(acts, &record(number), 1000).await.unwrap();
        }
        self.clock.advance_secs(15);
        self.store.append_audit(refused, &record(100), 1000).await.unwrap();
        self.store.append_audit(acts, &record(7), 1000).await.unwrap();
        let numbers = |entries: &[TrailEntry]| {
            let ours = entries.iter().filter(|entry| entry.record.starts_with(mark.as_bytes()));
            ours.filter_map(|entry| entry.record.last().copied()).collect::<Vec<_>>()
        };
        let (mut read, mut before) = (Vec::new(), None);
        for size in [3, 4, 1] {
            let page = self.store.audit(acts, before, size).await.unwrap();
            assert_eq!(page.len(), size);
            before = page.last().map(|entry| entry.id);
            read.extend(page);
        }
        assert_eq!(numbers(&read), [7, 6, 5, 4, 3, 2, 1, 0]);
        assert!(read.is_sorted_by(|later, earlier| later.id > earlier.id));
        let one = self.store.audit(refused, None, 1).await.unwrap();
        assert_eq!(numbers(&one), [100]);
        assert_eq!(self.store.audit(acts, None, 0).await.unwrap(), []);
        let first = EntryId { millis: 0, seq: 0 };
        assert_eq!(self.store.audit(acts, Some(first), 10).await.unwrap(), []);
        let beyond = EntryId { millis: u64::MAX, seq: u64::MAX };
        assert_eq!(numbers(&self.store.audit(acts, Some(beyond), 1).await.unwrap()), [7]);
    }

    pub(super) async fn a_trail_keeps_the_latest_and_not_many_more(&self) {
        for number in 0..500_u16 {
            self.store.append_audit(Trail::Refused, &number.to_be_bytes(), 50).await.unwrap();
        }
        let kept = self.store.audit(Trail::Refused, None, usize::MAX).await.unwrap();
        assert!((50..=200).contains(&kept.len()), "{} records", kept.len());
        let latest = (0..500_u16).rev().map(u16::to_be_bytes).take(kept.len());
        assert!(kept.iter().map(|entry| entry.record.as_slice()).eq(latest.collect::<Vec<_>>()));
    }
}
