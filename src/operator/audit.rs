//! Commands about the audit trail.

use std::collections::BTreeMap;

use relatch_domain::UserId;
use relatch_domain::event::Event;

use super::command::{AuditFilter, Reply};
use super::rows::AuditRow;
use super::{Done, Stop, named};
use crate::app::audit::read::{ActorFilter, AuditFilter as Filter, AuditPlace, read_audit};
use crate::app::audit::{ACTOR_KINDS, AuditRecord};
use crate::app::users::find_user;
use crate::app::{App, Failure};
use crate::store::EntryId;

/// Most records on one page.
const MAX_PAGE: usize = 500;
/// How many letters may be wrong in the name of an event.
const MAX_DISTANCE: usize = 3;

pub(super) async fn page(app: &App, filter: AuditFilter, before: Option<String>, limit: usize) -> Done {
    let filter = Filter {
        event: filter.event.as_deref().map(event).transpose()?,
        user: match filter.user {
            Some(user) => Some(user_id(app, &user).await?),
            None => None,
        },
        actor: match filter.actor {
            Some(actor) => Some(actor_filter(app, &actor).await?),
            None => None,
        },
        ..Filter::default()
    };
    let before =
        before.map(|text| read_place(&text).ok_or_else(|| Stop::refused("not a place in the trail")));
    let page = read_audit(app, &filter, before.transpose()?, limit.clamp(1, MAX_PAGE)).await?;
    let names = names(app, &page.records).await?;
    let records = page.records.into_iter().map(|record| AuditRow::of(record, &names)).collect();
    Ok(Reply::Audit { records, next: page.next.map(place) })
}

fn event(typed: &str) -> Result<&'static str, Stop> {
    let distance = |name: &&&str| strsim::osa_distance(name, typed);
    if let Some(name) = Event::NAMES.iter().find(|name| **name == typed) {
        return Ok(name);
    }
    let nearest = Event::NAMES.iter().min_by_key(distance);
    let similar = nearest.filter(|name| distance(name) <= MAX_DISTANCE).copied();
    Err(Stop::unknown("event", typed, similar))
}

async fn actor_filter(app: &App, typed: &str) -> Result<ActorFilter, Stop> {
    match ACTOR_KINDS.into_iter().find(|kind| *kind == typed) {
        Some(kind) => Ok(ActorFilter::Kind(kind)),
        None => Ok(ActorFilter::User(user_id(app, typed).await?)),
    }
}

/// An id may be that of a user who is gone: the trail still knows of them.
async fn user_id(app: &App, typed: &str) -> Result<UserId, Stop> {
    match typed.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(named(app, typed).await?.id),
    }
}

/// What the users are called now whom the records name. Those who are gone have no name.
async fn names(app: &App, records: &[AuditRecord]) -> Result<BTreeMap<String, String>, Failure> {
    let mut names = BTreeMap::new();
    for id in records.iter().flat_map(|record| [&record.user, &record.actor.user]).flatten() {
        if !names.contains_key(id)
            && let Ok(user) = id.parse::<UserId>()
            && let Some(user) = find_user(app, user).await?
        {
            names.insert(id.clone(), user.profile.username.to_string());
        }
    }
    Ok(names)
}

fn place(AuditPlace { acts, refused }: AuditPlace) -> String {
    format!("{}.{}.{}.{}", acts.millis, acts.seq, refused.millis, refused.seq)
}

fn read_place(text: &str) -> Option<AuditPlace> {
    let mut numbers = text.split('.').map(str::parse::<u64>);
    let mut id = || Some(EntryId { millis: numbers.next()?.ok()?, seq: numbers.next()?.ok()? });
    let (acts, refused) = (id()?, id()?);
    numbers.next().is_none().then_some(AuditPlace { acts, refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let id = |millis, seq| EntryId { millis, seq };
        let there = AuditPlace { acts: id(7, 1), refused: id(u64::MAX, 0) };
        assert_eq!(read_place(&place(there)), Some(there));
        for wrong in ["", "1.2.3", "1.2.3.4.5", "1.2.3.x"] {
            assert_eq!(read_place(wrong), None, "{wrong}");
        }
    }
}
