//! Reading both audit trails as one.

use std::sync::Arc;

use relatch::app::audit::read::{AuditFilter, AuditPlace, read_trails};
use relatch::app::audit::{AuditActor, AuditRecord};
use relatch::store::{Store as _, Trail};
use relatch_domain::UnixMillis;
use relatch_testkit::clock::ManualClock;
use relatch_testkit::model_store::ModelStore;

const START: u64 = 1_700_000_000_000;

/// Trails that are filled one millisecond after the other.
struct Trails {
    clock: ManualClock,
    store: ModelStore,
}

impl Trails {
    fn new() -> Self {
        let clock = ManualClock::at(UnixMillis(START));
        Self { store: ModelStore::new(Arc::new(clock.clone())), clock }
    }

    async fn append(&self, trail: Trail, event: &str) {
        let at = self.clock.advance_by_a_milli();
        let actor = AuditActor { kind: "server".to_owned(), user: None, session: None };
        let record = AuditRecord {
            at,
            event: event.to_owned(),
            actor,
            user: None,
            session: None,
            details: serde_json::Map::new(),
            address: None,
            user_agent: None,
            request_id: None,
        };
        let json = serde_json::to_vec(&record).unwrap();
        self.store.append_audit(trail, &json, 1_000_000).await.unwrap();
    }

    async fn page(
        &self,
        filter: &AuditFilter,
        after: Option<AuditPlace>,
        limit: usize,
    ) -> (Vec<u64>, Option<AuditPlace>) {
        let page = read_trails(&self.store, filter, after, limit).await.unwrap();
        (page.records.iter().map(|record| record.at - START).collect(), page.next)
    }
}

trait Milli {
    fn advance_by_a_milli(&self) -> u64;
}

impl Milli for ManualClock {
    fn advance_by_a_milli(&self) -> u64 {
        self.advance(std::time::Duration::from_millis(1));
        relatch::ambient::Clock::now(self).0
    }
}

#[tokio::test]
async fn both_trails_are_one_in_the_order_of_time_whatever_the_page() {
    let trails = Trails::new();
    for n in 0..700 {
        let trail = if n % 3 == 0 || n > 600 { Trail::Acts } else { Trail::Refused };
        trails.append(trail, "x").await;
    }
    for limit in [1, 7, 200] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (items, next) = trails.page(&AuditFilter::default(), after, limit).await;
            assert!(items.len() == limit || next.is_none());
            seen.extend(items);
            if next.is_none() {
                break;
            }
            after = next;
        }
        assert_eq!(seen, (1..=700).rev().collect::<Vec<_>>(), "in pages of {limit}");
    }
}

#[tokio::test]
async fn one_call_looks_at_five_thousand_records_and_the_next_goes_on() {
    let trails = Trails::new();
    trails.append(Trail::Acts, "signed_in").await;
    for _ in 0..5_100 {
        trails.append(Trail::Refused, "sign_in_failed").await;
    }
    let filter = AuditFilter { event: Some("signed_in"), ..AuditFilter::default() };
    let (items, next) = trails.page(&filter, None, 50).await;
    assert_eq!(items, Vec::<u64>::new());
    let (items, next) = trails.page(&filter, Some(next.expect("more to look at")), 50).await;
    assert_eq!(items, [1]);
    assert_eq!(next, None);
}

#[tokio::test]
async fn what_comes_while_somebody_reads_does_not_disturb_the_pages() {
    let trails = Trails::new();
    for _ in 0..4 {
        trails.append(Trail::Acts, "x").await;
    }
    let (items, next) = trails.page(&AuditFilter::default(), None, 2).await;
    assert_eq!(items, [4, 3]);
    trails.append(Trail::Acts, "x").await;
    trails.append(Trail::Refused, "x").await;
    let (items, next) = trails.page(&AuditFilter::default(), next, 2).await;
    assert_eq!((items, next), (vec![2, 1], None));
}

#[tokio::test]
async fn a_span_of_time_begins_with_its_first_millisecond_and_ends_before_its_last() {
    let trails = Trails::new();
    for n in 0..20 {
        let trail = if n % 2 == 0 { Trail::Acts } else { Trail::Refused };
        trails.append(trail, "x").await;
    }
    let (since, until) = (Some(UnixMillis(START + 5)), Some(UnixMillis(START + 8)));
    let filter = AuditFilter { since, until, ..AuditFilter::default() };
    assert_eq!(trails.page(&filter, None, 50).await, (vec![7, 6, 5], None));
}

/// What is long before the span is not looked through.
#[tokio::test]
async fn reading_ends_where_nothing_can_be_late_enough() {
    let trails = Trails::new();
    for _ in 0..6_000 {
        trails.append(Trail::Acts, "x").await;
    }
    trails.clock.advance(std::time::Duration::from_hours(1));
    trails.append(Trail::Acts, "x").await;
    let since = Some(UnixMillis(START + 3_600_000));
    let (items, next) = trails.page(&AuditFilter { since, ..AuditFilter::default() }, None, 50).await;
    assert_eq!((items.len(), next), (1, None));
}
