//! Explain: why somebody was signed out, in words that can be read to them. The facts come from [`gather`]; what they mean
//! is decided by [`explain`], which is pure.

mod facts;

use relatch_domain::session::EndReason;
use relatch_domain::{Generation, UnixMillis, UnixSeconds};

use super::history::{Happening, Line};
use super::session_history::SessionState;
use super::timeline::{Deadline, Entry, What};
use crate::rfc3339;
use crate::store::{EndNote, Party, SessionDetails};

pub use facts::{EndRecord, Facts, SessionFacts, gather};

/// Why somebody was signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The machine code: `live`, `expired_idle`, `expired_absolute`, the code of an end, `user_deleted` or `unknown`.
    pub cause: &'static str,
    /// In a few sentences.
    pub summary: String,
    /// What happened, a line each, the earliest first.
    pub story: Vec<String>,
}

/// Says why.
pub fn explain(facts: &Facts) -> Explanation {
    let story = facts.session.iter().flat_map(|known| &known.entries).map(tell).collect();
    let (cause, why) = match &facts.session {
        Some(known) => known_cause(known, facts.record.as_ref()),
        None => forgotten_cause(facts),
    };
    let whose = facts.username.as_ref().map_or("This session".to_owned(), |name| format!("{name}'s session"));
    let device = facts.session.as_ref().and_then(device).map(|on| format!(" on {on}")).unwrap_or_default();
    Explanation { cause, summary: format!("{whose}{device} {why}"), story }
}

fn known_cause(known: &SessionFacts, record: Option<&EndRecord>) -> (&'static str, String) {
    let expires = at(known.expires);
    match known.state {
        SessionState::Live => {
            ("live", format!("goes on: nobody has ended it. It expires on {expires} if it is not used."))
        }
        SessionState::Expired => match known.entries.last().map(|entry| &entry.what) {
            Some(What::Expired(Deadline::Absolute)) => (
                "expired_absolute",
                format!(
                    "reached its greatest age on {expires} and expired. Nobody ended it: however much it is used, a \
                     session has to begin with a new sign-in by then."
                ),
            ),
            _ => (
                "expired_idle",
                format!("was not used for so long that it expired on {expires}. Nobody ended it."),
            ),
        },
        SessionState::Ended { reason, at: ended } => {
            let note = known.entries.iter().rev().find_map(|entry| match &entry.what {
                What::Ended(_, note) => Some(note.clone()),
                _ => None,
            });
            let when = ended.map_or_else(
                || format!("on or after {}", rfc3339::exact(known.cutoff)),
                |on| format!("on {}", at(on)),
            );
            (reason.code(), because(reason, &when, &note.unwrap_or_default(), record, known.cutoff))
        }
    }
}

/// The store has forgotten the session, or never knew it.
fn forgotten_cause(facts: &Facts) -> (&'static str, String) {
    let Some(record) = &facts.record else {
        return (
            "unknown",
            "is not known here: neither the store nor the audit trail has anything of it or of its end. It may have ended \
             so long ago that all of it is forgotten, its sign-in may have been lost with the store's last writes, or it \
             never was. Signing in again helps."
                .to_owned(),
        );
    };
    let when = format!("on {}", at(record.at.seconds()));
    match (record.event.as_str(), record.reason) {
        ("user_deleted", _) => {
            let by = who(record);
            ("user_deleted", format!("ended {when}, when {by} deleted the account with all its sessions."))
        }
        (_, Some(reason)) => {
            let note = EndNote {
                address: record.party.address.clone(),
                user_agent: record.party.user_agent.clone(),
                other: record.other.clone(),
                ..EndNote::default()
            };
            (reason.code(), because(reason, &when, &note, Some(record), UnixMillis(0)))
        }
        _ => (
            "unknown",
            "is forgotten: the store remembers ended sessions for a while only, and the audit trail has nothing that names \
             this one."
                .to_owned(),
        ),
    }
}

fn because(
    reason: EndReason,
    when: &str,
    note: &EndNote,
    record: Option<&EndRecord>,
    cutoff: UnixMillis,
) -> String {
    let from = place(note.address.as_deref(), note.user_agent.as_deref());
    let from = from.map(|from| format!(", from {from}")).unwrap_or_default();
    let noted = note.text.as_ref().map(|text| format!(" They noted: {text:?}.")).unwrap_or_default();
    let someone = record.map_or_else(|| "an administrator".to_owned(), who);
    match reason {
        EndReason::SignedOut => format!("ended {when}: the device signed itself out{from}."),
        EndReason::RevokedByUser => {
            format!("ended {when}: the user ended it from another session of theirs{from}.")
        }
        EndReason::RevokedByAdmin => format!("ended {when}: {someone} ended it{from}.{noted}"),
        EndReason::PasswordChanged if note.by_its_user => {
            format!("ended {when}: the user changed the password{from}, which ends all other sessions.")
        }
        EndReason::PasswordChanged => {
            format!("ended {when}: {someone} set a new password{from}, which ends all sessions.{noted}")
        }
        EndReason::UserDisabled => format!("ended {when}: {someone} disabled the account{from}.{noted}"),
        EndReason::SignedInBefore => {
            let before =
                if cutoff.0 > 0 { format!(" before {}", rfc3339::exact(cutoff)) } else { String::new() };
            format!("ended {when}: an administrator signed out everyone who had signed in{before}.{noted}")
        }
        EndReason::Replaced => format!(
            "ended {when}: the user signed in once more{from} and had as many sessions as one may have. This one had \
             not been used for the longest time and made room."
        ),
        EndReason::Reuse => reused(when, note),
    }
}

fn reused(when: &str, note: &EndNote) -> String {
    let unknown = || "an unknown place".to_owned();
    let here = place(note.address.as_deref(), note.user_agent.as_deref()).unwrap_or_else(unknown);
    let place_of = |party: &Party| place(party.address.as_deref(), party.user_agent.as_deref());
    let there = note.other.as_ref().and_then(place_of).unwrap_or_else(unknown);
    format!(
        "ended {when}, for safety: a refresh token that had been replaced was presented from {here}. Its successor was in \
         use from {there}. Two parties held tokens of this session, so it was ended for both. Either a token was stolen, \
         or an app went back to an old copy of what it had stored."
    )
}

fn who(record: &EndRecord) -> String {
    match (record.actor_kind.as_str(), &record.actor) {
        ("user", Some(name)) => format!("the administrator {name}"),
        ("operator", _) => "an operator at the server's command line".to_owned(),
        ("server", _) => "the server itself".to_owned(),
        _ => "an administrator".to_owned(),
    }
}

fn device(known: &SessionFacts) -> Option<String> {
    known.entries.iter().find_map(|entry| match &entry.what {
        What::SignedIn(SessionDetails { device_name: Some(name), .. }) => Some(format!("{name:?}")),
        What::SignedIn(details) => place(details.address.as_deref(), details.user_agent.as_deref()),
        _ => None,
    })
}

/// A line of the story.
fn tell(entry: &Entry) -> String {
    let by = |address: &Option<String>, agent: &Option<String>| {
        place(address.as_deref(), agent.as_deref()).map(|place| format!(" from {place}")).unwrap_or_default()
    };
    let what = match &entry.what {
        What::SignedIn(details) => format!("signed in{}", by(&details.address, &details.user_agent)),
        What::Refreshed(Generation(1)) => "refreshed, once".to_owned(),
        What::Refreshed(generation) => format!("last refreshed; {} times in all", generation.0),
        What::Expired(Deadline::Idle) => "expired: not used for too long".to_owned(),
        What::Expired(Deadline::Absolute) => "expired: reached its greatest age".to_owned(),
        What::Ended(reason, note) => {
            format!("ended: {}{}", reason.code().replace('_', " "), by(&note.address, &note.user_agent))
        }
        What::Happened(line) => {
            format!("{}{}", happening(line), by(&line.party.address, &line.party.user_agent))
        }
    };
    format!("{}  {what}", at(entry.at))
}

fn happening(line: &Line) -> String {
    let what = match line.what {
        Happening::Moved => "refreshed from elsewhere than before,",
        Happening::Retried => "repeated a refresh and got the same token again,",
        Happening::Superseded => "came second in a race for a refresh and got nothing,",
        Happening::Healed => "went on although the store had lost its last refresh,",
        Happening::Mismatched => "was refused a refresh: another client or another way than agreed,",
    };
    if line.more > 0 { format!("{what} {} times", line.more.saturating_add(1)) } else { what.to_owned() }
}

/// Where somebody is and with what. What clients wrote is quoted, so that it cannot harm a terminal.
fn place(address: Option<&str>, agent: Option<&str>) -> Option<String> {
    match (address, agent) {
        (Some(address), Some(agent)) => Some(format!("{address} ({agent:?})")),
        (Some(address), None) => Some(address.to_owned()),
        (None, Some(agent)) => Some(format!("{agent:?}")),
        (None, None) => None,
    }
}

fn at(at: UnixSeconds) -> String {
    rfc3339::seconds(at)
}
