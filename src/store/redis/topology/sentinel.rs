//! Which address Sentinels name as the primary's.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{FromRedisValue as _, Value};

use super::answers;
use crate::store::StoreError;
use crate::store::redis::lane::Lane;
use crate::store::redis::request::{Entry, Request};
use crate::store::redis::target::Address;

/// What one Sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// How often there has been a failover, as far as this Sentinel has heard.
    epoch: u64,
    address: Address,
}

/// The primary of the service, by the Sentinel that has heard of the latest failover: one that is cut off from the others
/// goes on naming the primary of before.
pub(super) async fn primary(
    sentinels: &[(Address, Arc<Lane>)],
    service: &str,
) -> Result<Address, StoreError> {
    let asking = sentinels.iter().map(|(at, lane)| async move {
        let request = Request::keyless(&["SENTINEL", "MASTER", service]);
        let answer = lane.ask(&request, Entry::Plainly).await.map_err(|failure| says(at, &failure.error))?;
        read(answer).map_err(|error| says(at, &error))
    });
    let named = answers(asking.collect()).await?;
    latest(named).ok_or_else(|| StoreError::Unavailable("no Sentinel answers".to_owned()))
}

fn says(at: &Address, error: &StoreError) -> StoreError {
    StoreError::Unavailable(format!("Sentinel {at}: {error}"))
}

fn latest(named: Vec<Named>) -> Option<Address> {
    named.into_iter().max_by_key(|named| named.epoch).map(|named| named.address)
}

fn read(answer: Value) -> Result<Named, StoreError> {
    let incomplete = || StoreError::Unavailable("it names no primary".to_owned());
    let fields = BTreeMap::<String, String>::from_redis_value(answer).map_err(|_| incomplete())?;
    let number = |field: &str| fields.get(field)?.parse::<u64>().ok();
    let port = number("port").and_then(|port| u16::try_from(port).ok());
    match (fields.get("ip"), port, number("config-epoch")) {
        (Some(host), Some(port), Some(epoch)) if !host.is_empty() && port != 0 => {
            Ok(Named { epoch, address: Address::Tcp(host.as_str().into(), port) })
        }
        _ => Err(incomplete()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, &str)]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(fields.iter().flat_map(|(field, value)| [text(field), text(value)]).collect())
    }

    #[test]
    fn the_latest_failover_counts() {
        let named = |epoch, port| Named { epoch, address: Address::Tcp("h".into(), port) };
        assert_eq!(latest(vec![named(3, 1), named(5, 2), named(4, 3)]), Some(named(5, 2).address));
        assert_eq!(latest(Vec::new()), None);
    }

    #[test]
    fn reads_what_a_sentinel_says_and_takes_nothing_less() {
        let fields = [("name", "main"), ("ip", "10.0.0.1"), ("port", "6379"), ("config-epoch", "7")];
        let named = Named { epoch: 7, address: Address::Tcp("10.0.0.1".into(), 6379) };
        assert_eq!(read(answer(&fields)), Ok(named));
        for missing in 1..4 {
            let less: Vec<_> =
                fields.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, field)| *field).collect();
            assert!(matches!(read(answer(&less)), Err(StoreError::Unavailable(_))), "{less:?}");
        }
        assert!(read(answer(&[("ip", "h"), ("port", "65536"), ("config-epoch", "7")])).is_err());
        assert!(read(Value::Nil).is_err());
    }
}
