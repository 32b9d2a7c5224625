//! Which node of a Cluster holds which slots, put together from what several of them say.

use std::sync::Arc;

use redis::FromRedisValue as _;

use super::{Map, Said, answers, says};
use crate::store::StoreError;
use crate::store::redis::lane::Lane;
use crate::store::redis::request::{Entry, Request};
use crate::store::redis::target::Address;
use crate::store::shard::{SLOTS, SlotSet};

/// How many nodes are asked at the most. Those that hold slots come first.
const ASKED: usize = 8;

/// A claim of a node on slots, as some node tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    address: Address,
    /// Of two claims on a slot the one of the higher epoch counts; so the nodes themselves settle it.
    epoch: u64,
    slots: SlotSet,
}

/// Who holds which slots.
pub(super) async fn map(nodes: &[(Address, Arc<Lane>)], is_tls: bool) -> Result<Said<Map>, StoreError> {
    let asking = nodes.iter().take(ASKED).map(|(at, lane)| async move {
        let request = Request::keyless(&["CLUSTER", "NODES"]);
        let answer = lane.ask(&request, Entry::Plainly).await.map_err(|failure| says(at, &failure.error))?;
        let text = String::from_redis_value(answer)
            .map_err(|error| says(at, &StoreError::Unavailable(error.to_string())))?;
        Ok(read(&text, at, is_tls))
    });
    let Said { answer, is_certain } = answers(asking.collect()).await?;
    let parts = settle(answer.into_iter().flatten());
    if parts.is_empty() {
        return Err(StoreError::Unavailable("no node holds any slot".to_owned()));
    }
    Ok(Said { answer: Map::of(parts), is_certain })
}

/// Reads the answer to `CLUSTER NODES`. Lines that cannot be read are passed over.
fn read(text: &str, told_by: &Address, is_tls: bool) -> Vec<Claim> {
    text.lines().filter_map(|line| claim(line, told_by, is_tls)).collect()
}

/// `id host:port@bus[,hostname] flags primary ping pong epoch link slot…`
fn claim(line: &str, told_by: &Address, is_tls: bool) -> Option<Claim> {
    let mut words = line.split_ascii_whitespace();
    let place = words.nth(1)?;
    if !words.next()?.split(',').any(|flag| flag == "master") {
        return None;
    }
    let epoch = words.nth(3)?.parse().ok()?;
    let mut slots = SlotSet::default();
    // What stands in brackets is on its way, and still here.
    for word in words.skip(1).filter(|word| !word.starts_with('[')) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first..=last.min(SLOTS - 1)).for_each(|slot| slots.insert(slot));
    }
    if slots.is_empty() {
        return None;
    }
    Some(Claim { address: address(place, told_by, is_tls)?, epoch, slots })
}

/// A certificate is for a name, if the node has one.
fn address(place: &str, told_by: &Address, is_tls: bool) -> Option<Address> {
    let (endpoint, rest) = place.split_once('@')?;
    let hostname = rest.split(',').nth(1).filter(|name| is_tls && !name.is_empty() && !name.contains('='));
    let address = parse(endpoint, told_by)?;
    match (hostname, address) {
        (Some(name), Address::Tcp(_, port)) => Some(Address::Tcp(name.into(), port)),
        (_, address) => Some(address),
    }
}

/// Reads `host:port`, as nodes write it: an IPv6 address has no brackets, and a node that does not know its own address
/// leaves the host out.
pub(in crate::store::redis) fn parse(endpoint: &str, told_by: &Address) -> Option<Address> {
    let (host, port) = endpoint.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    match (host, told_by) {
        ("" | "?", Address::Tcp(host, _)) => Some(Address::Tcp(host.clone(), port)),
        ("" | "?", Address::Unix(_)) => None,
        (host, _) => Some(Address::Tcp(host.into(), port)),
    }
}

/// Gives each slot to the claim with the highest epoch. The parts come in the order of their first slots.
fn settle(claims: impl Iterator<Item = Claim>) -> Vec<(Address, SlotSet)> {
    let mut best: Vec<Option<&Claim>> = vec![None; usize::from(SLOTS)];
    let claims: Vec<Claim> = claims.collect();
    for claim in &claims {
        for slot in claim.slots.iter() {
            if let Some(best) = best.get_mut(usize::from(slot))
                && best.is_none_or(|best| best.epoch < claim.epoch)
            {
                *best = Some(claim);
            }
        }
    }
    let mut parts: Vec<(Address, SlotSet)> = Vec::new();
    let mut last: Option<(&Claim, usize)> = None;
    for (slot, claim) in (0..).zip(best) {
        let Some(claim) = claim else { continue };
        let number = match last {
            Some((before, number)) if std::ptr::eq(before, claim) => number,
            _ => number_of(&mut parts, &claim.address),
        };
        last = Some((claim, number));
        if let Some((_, slots)) = parts.get_mut(number) {
            slots.insert(slot);
        }
    }
    parts
}

/// The number of the part at this address, a new one if there is none.
fn number_of(parts: &mut Vec<(Address, SlotSet)>, address: &Address) -> usize {
    parts.iter().position(|(other, _)| other == address).unwrap_or_else(|| {
        parts.push((address.clone(), SlotSet::default()));
        parts.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(port: u16) -> Address {
        Address::Tcp("127.0.0.1".into(), port)
    }

    fn slots(ranges: &[std::ops::RangeInclusive<u16>]) -> SlotSet {
        let mut set = SlotSet::default();
        ranges.iter().cloned().flatten().for_each(|slot| set.insert(slot));
        set
    }

    const NODES: &str = "\
a1 127.0.0.1:7000@17000,one.example myself,master - 0 0 1 connected 0-5460 [93->-c3]
b2 127.0.0.1:7001@17001,,shard-id=x master,fail - 1 2 2 disconnected 5461-10921 10923
c3 ::1:7002@17002 master - 1 2 3 connected 10924-16383
d4 127.0.0.1:7003@17003 slave a1 1 2 1 connected
e5 :0@0 master,noaddr - 1 2 4 disconnected 7
f6 :7005@17005 master - 1 2 5 connected
nonsense
";

    #[test]
    fn reads_who_holds_which_slots() {
        let claims = read(NODES, &at(7000), false);
        let expected = [
            Claim { address: at(7000), epoch: 1, slots: slots(&[0..=5460]) },
            Claim { address: at(7001), epoch: 2, slots: slots(&[5461..=10921, 10923..=10923]) },
            Claim { address: Address::Tcp("::1".into(), 7002), epoch: 3, slots: slots(&[10924..=16383]) },
        ];
        assert_eq!(claims, expected);
        let by_name = read(NODES, &at(7000), true);
        assert_eq!(by_name[0].address, Address::Tcp("one.example".into(), 7000));
        assert_eq!(by_name[1].address, at(7001));
    }

    #[test]
    fn a_node_without_an_address_is_where_it_was_asked() {
        let claims = read("a1 :7000@17000 myself,master - 0 0 1 connected 0-16383", &at(9), false);
        assert_eq!(claims[0].address, at(7000));
        assert_eq!(parse(":7000", &Address::Unix("/x".into())), None);
        assert_eq!(parse("h:0", &at(9)), None);
        assert_eq!(parse("2001:db8::1:7000", &at(9)), Some(Address::Tcp("2001:db8::1".into(), 7000)));
    }

    #[test]
    fn of_two_claims_the_later_one_counts() {
        let claim = |port, epoch, slots| Claim { address: at(port), epoch, slots };
        // The old primary, alone on its side, still claims all that it had; and a slot has gone from the one to the other.
        let claims = [
            claim(1, 1, slots(&[0..=9])),
            claim(2, 4, slots(&[0..=8])),
            claim(3, 2, slots(&[9..=20])),
            claim(3, 2, slots(&[9..=20])),
        ];
        for claims in [claims.to_vec(), claims.iter().rev().cloned().collect()] {
            let parts: BTreeMap<_, _> = settle(claims.into_iter())
                .into_iter()
                .map(|(address, slots)| (address.to_string(), slots.iter().collect::<Vec<_>>()))
                .collect();
            let expected =
                [("127.0.0.1:2", (0..=8).collect::<Vec<_>>()), ("127.0.0.1:3", (9..=20).collect())];
            assert_eq!(parts, expected.map(|(at, slots)| (at.to_owned(), slots)).into());
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_makes_it_panic(text in "([a-f0-9]{1,4} [0-9.:@,a-z-]{0,20} (master|slave|x)?[ 0-9a-z\\[\\]<>-]{0,40}\n?){0,4}") {
            for claim in read(&text, &at(1), true) {
                prop_assert!(!claim.slots.is_empty());
            }
        }
    }
}
