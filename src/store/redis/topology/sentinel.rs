//! Which address Sentinels name as the primary's.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{FromRedisValue as _, Value};

use super::{Said, answers, says};
use crate::store::StoreError;
use crate::store::redis::lane::Lane;
use crate::store::redis::request::Request;
use crate::store::redis::target::Address;
use crate::store::redis::trouble::said;

/// What one Sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// How often there has been a failover, as far as this Sentinel has heard.
    epoch: u64,
    address: Address,
    /// Whether it is about to have another take this one's place: it leads a failover and has not seen it succeed yet.
    is_leaving: bool,
}

/// The primary of the service, by the Sentinel that has heard of the latest failover: one that is cut off from the others
/// goes on naming the primary of before.
pub(super) async fn primary(
    sentinels: &[(Address, Arc<Lane>)],
    service: &str,
) -> Result<Said<Address>, StoreError> {
    let asking = sentinels.iter().map(|(at, lane)| async move {
        // The Sentinel that leads a failover names the new primary as soon as it is one, but shows the old one, under the
        // new epoch, among its facts until all replicas follow.
        let address = Request::keyless(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]);
        let facts = Request::keyless(&["SENTINEL", "MASTER", service]);
        let answers = lane.ask_all(&[&address, &facts]).await.map_err(|failure| says(at, &failure.error))?;
        read(answers).map_err(|error| says(at, &error))
    });
    let Said { answer: named, is_certain } = answers(asking.collect()).await?;
    let is_certain = is_certain && !named.iter().any(|named| named.is_leaving);
    let answer = latest(named).ok_or_else(|| StoreError::Unavailable("no Sentinel answers".to_owned()))?;
    Ok(Said { answer, is_certain })
}

fn latest(named: Vec<Named>) -> Option<Address> {
    named.into_iter().max_by_key(|named| named.epoch).map(|named| named.address)
}

fn read(answers: Vec<Value>) -> Result<Named, StoreError> {
    let unclear = |()| StoreError::Unavailable("it names no primary".to_owned());
    let [address, facts] = <[Value; 2]>::try_from(answers).map_err(|_| unclear(()))?;
    let refused = |error: redis::RedisError| StoreError::Unavailable(said(&error));
    let (host, port) = match address.extract_error().map_err(refused)? {
        Value::Nil => {
            let why = "the Sentinel watches no service of the name that store.url ends with";
            return Err(StoreError::Misconfigured(why.to_owned()));
        }
        address => <(String, u16)>::from_redis_value(address).map_err(|_| unclear(()))?,
    };
    let facts = facts.extract_error().map_err(refused)?;
    let facts = BTreeMap::<String, String>::from_redis_value(facts).map_err(|_| unclear(()))?;
    let fact = |name| facts.get(name).map_or("", String::as_str);
    let leads_failover = fact("flags").split(',').any(|flag| flag == "failover_in_progress");
    // Once it has succeeded, the facts are still of the primary before.
    let is_leaving = leads_failover && fact("ip") == host && fact("port") == port.to_string();
    match fact("config-epoch").parse() {
        Ok(epoch) if !host.is_empty() && port != 0 => {
            Ok(Named { epoch, address: Address::Tcp(host.into(), port), is_leaving })
        }
        _ => Err(unclear(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn the_latest_failover_counts() {
        let named = |epoch, port| Named { epoch, address: Address::Tcp("h".into(), port), is_leaving: false };
        assert_eq!(latest(vec![named(3, 1), named(5, 2), named(4, 3)]), Some(named(5, 2).address));
        assert_eq!(latest(Vec::new()), None);
    }

    #[test]
    fn reads_what_a_sentinel_says_and_takes_nothing_less() {
        let (address, facts) = (list(&["10.0.0.1", "6379"]), list(&["ip", "10.0.0.9", "config-epoch", "7"]));
        let named = Named { epoch: 7, address: Address::Tcp("10.0.0.1".into(), 6379), is_leaving: false };
        assert_eq!(read(vec![address.clone(), facts.clone()]), Ok(named.clone()));
        for (ip, is_leaving) in [("10.0.0.1", true), ("10.0.0.9", false)] {
            let flags = "master,failover_in_progress";
            let facts = list(&["ip", ip, "port", "6379", "flags", flags, "config-epoch", "7"]);
            let named = Named { is_leaving, ..named.clone() };
            assert_eq!(read(vec![address.clone(), facts]), Ok(named), "{ip}");
        }
        for answers in [
            vec![],
            vec![address.clone()],
            vec![Value::Nil, facts.clone()],
            vec![list(&["10.0.0.1", "65536"]), facts.clone()],
            vec![list(&["10.0.0.1", "0"]), facts.clone()],
            vec![list(&["", "6379"]), facts],
            vec![address.clone(), list(&["ip", "10.0.0.1"])],
            vec![address, Value::Nil],
        ] {
            let error = read(answers.clone()).unwrap_err();
            assert!(
                matches!(error, StoreError::Unavailable(_) | StoreError::Misconfigured(_)),
                "{answers:?}"
            );
        }
    }
}
