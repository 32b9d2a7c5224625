//! Requests that were answered, by route and status, and how long that took.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// How many kinds of answers a thread has at hand, the first that it gave; the others it looks up.
const AT_HAND: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    method: &'static str,
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: &'static str,
    route: &'static str,
    status: u16,
}

/// The two families.
pub(super) struct Answers {
    /// Tells these apart from those of other nodes in the same process.
    id: u64,
    requests: Family<OfRequest, Counter>,
    durations: Family<OfRoute, Histogram>,
}

/// What a thread has at hand, and whose it is.
struct AtHand {
    of: u64,
    kinds: Vec<(OfRequest, Counter, Histogram)>,
}

thread_local! {
    static KINDS: RefCell<AtHand> = const { RefCell::new(AtHand { of: 0, kinds: Vec::new() }) };
}

impl Answers {
    /// Those that a registry shows.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let requests = Family::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        let durations: Family<OfRoute, Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took to be answered",
            Unit::Seconds,
            durations.clone(),
        );
        Self { id: COUNT.fetch_add(1, Ordering::Relaxed), requests, durations }
    }

    /// Notes an answer. To look up its two metrics means to hash their labels twice, so a thread keeps those of its first few kinds.
    pub(super) fn note(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        let kind = OfRequest { method, route, status };
        let seconds = took.as_secs_f64();
        KINDS.with_borrow_mut(|at_hand| {
            if at_hand.of != self.id {
                *at_hand = AtHand { of: self.id, kinds: Vec::with_capacity(AT_HAND) };
            }
            if let Some((_, requests, durations)) = at_hand.kinds.iter().find(|(known, ..)| *known == kind) {
                requests.inc();
                durations.observe(seconds);
                return;
            }
            let requests = self.requests.get_or_create_owned(&kind);
            let durations = self.durations.get_or_create_owned(&OfRoute { method, route });
            requests.inc();
            durations.observe(seconds);
            if at_hand.kinds.len() < AT_HAND {
                at_hand.kinds.push((kind, requests, durations));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    const ROUTES: [&str; 12] = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l"];

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn each_answer_is_counted_once_whether_or_not_its_kind_is_at_hand() {
        let mut registry = Registry::default();
        let answers = Answers::registered(&mut registry);
        for _ in 0..3 {
            for route in ROUTES {
                answers.note("GET", route, 200, Duration::from_millis(1));
            }
            answers.note("GET", "/a", 404, Duration::from_secs(1));
        }
        let text = shown(&registry);
        for route in ROUTES {
            let line = format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"200\"}} 3\n");
            assert!(text.contains(&line), "{text}");
        }
        assert!(
            text.contains("http_requests_total{method=\"GET\",route=\"/a\",status=\"404\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("http_request_duration_seconds_count{method=\"GET\",route=\"/a\"} 6\n"),
            "{text}"
        );
        assert!(
            text.contains("http_request_duration_seconds_count{method=\"GET\",route=\"/l\"} 3\n"),
            "{text}"
        );
    }

    #[test]
    fn two_nodes_in_one_thread_count_for_themselves() {
        let (mut one, mut other) = (Registry::default(), Registry::default());
        let (ones, others) = (Answers::registered(&mut one), Answers::registered(&mut other));
        for _ in 0..2 {
            ones.note("GET", "/a", 200, Duration::ZERO);
            others.note("GET", "/a", 200, Duration::ZERO);
            ones.note("GET", "/a", 200, Duration::ZERO);
        }
        assert!(shown(&one).contains("status=\"200\"} 4\n"));
        assert!(shown(&other).contains("status=\"200\"} 2\n"));
    }
}
