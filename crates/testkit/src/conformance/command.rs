//! The commands of which random sequences are made. They name users and sessions by small numbers, so that a sequence
//! that failed can be read.

use std::fmt;
use std::time::Duration;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option::{of, weighted as weighted_option};
use proptest::prelude::*;
use relatch_domain::UnixMillis;
use relatch_domain::budget::Budget;
use relatch_domain::cutoff::Cutoff;
use relatch_domain::policy::{HealPolicy, RotationPolicy};
use relatch_domain::record::encode;
use relatch_domain::session::{Delivery, EndReason, SessionRecord};
use relatch_domain::testing::{self, AROUND};

/// How many users a case has, of whom only the first is there from the start.
pub(super) const USERS: u8 = 2;
/// How many sessions each of them may have.
pub(super) const SESSIONS: u8 = 4;
/// What follows a case's prefix in the names of its users. Not in the order of their bytes.
pub(super) const NAMES: [&str; 4] = ["-b", "-aa", "-é", "-a"];
/// How many prefixes of names are searched for: the case's own, and what begins the names of some of its users.
pub(super) const PREFIXES: u8 = 4;
/// How many commands a case has at the most.
pub(super) const LONGEST: usize = 16;

/// One session of one user of the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) user: u8,
    pub(super) session: u8,
}

/// Which token is presented.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    /// The one issued last, even if the store has forgotten that.
    Last,
    /// The one issued so many before the last.
    Before(u8),
    /// A genuine one that the store never heard of: so many generations ahead of the last, issued so many seconds
    /// ago.
    Ahead(u8, u16),
}

/// In which respect a token is presented by somebody else than its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    None,
    Client,
    Delivery,
    Key,
}

/// Which sessions are ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    One,
    AllBut,
    All,
    Client(u16),
}

/// How sessions end. Which one it is about, if it is about one, stands beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) which: Which,
    /// Only those that began less than so many milliseconds after [`AROUND`].
    pub(super) before: Option<u16>,
    pub(super) reason: EndReason,
    pub(super) note: bool,
}

/// How a user changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub(super) roles: Option<u8>,
    pub(super) disabled: Option<bool>,
    pub(super) attributes: Option<u8>,
    pub(super) password: Option<u8>,
    /// Whether the new hash is one of the same password.
    pub(super) is_rehash: bool,
    /// Only if the attributes are these.
    pub(super) seen_attributes: Option<u8>,
    /// Only if the password is the one that it is, or is another one.
    pub(super) seen_password: Option<bool>,
}

/// What happens while somebody signs in, between reading and beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Nothing,
    /// The sessions are others than those that were seen.
    SessionsChange,
    /// The password becomes another one.
    PasswordChanges,
}

/// A record that no rule has made. Shows as the hexadecimal form of its bytes.
#[derive(Clone, Copy)]
pub(super) struct Planted(pub(super) SessionRecord);

impl fmt::Debug for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Command {
    CreateUser { user: u8, name: u8 },
    ChangeUser { at: At, edit: Edit, ending: Option<Ending> },
    DeleteUser { user: u8 },
    FindUsers { user: u8, name: u8, prefix: u8, after: Option<u8>, limit: u8 },
    SignIn { at: At, policy: u8, delivery: Delivery, bound: bool, limit: u8, meanwhile: Meanwhile },
    Plant { at: At, record: Planted },
    Refresh { at: At, token: Token, attempt: u8, twist: Twist, policy: u8, twice: bool },
    End { at: At, ending: Ending },
    LoseWrites { at: At, count: u8 },
    SwapUnseen { at: At },
    AppendHistory { at: At, line: u8 },
    Look { at: At },
}

/// How many milliseconds after [`AROUND`] the sessions of each user began, by their ids.
pub(super) const BEGAN: [u16; SESSIONS as usize] = [10_000, 9_999, 30_000, 0];

/// So many milliseconds after [`AROUND`].
pub(super) fn after_start(millis: u16) -> UnixMillis {
    UnixMillis(u64::from(AROUND) * 1000 + u64::from(millis))
}

/// The policies that commands choose from.
pub(super) fn policy(number: u8) -> RotationPolicy {
    let default = RotationPolicy::default();
    match number {
        0 => default,
        1 => RotationPolicy {
            idle_ttl: Duration::from_mins(1),
            absolute_ttl: Duration::from_mins(5),
            grace: Duration::ZERO,
            heal: HealPolicy { slack: Duration::from_secs(5), max_ahead: 2 },
            ..default
        },
        2 => RotationPolicy {
            budget: Budget::new(Duration::from_secs(6), 2).unwrap_or(Budget::UNLIMITED),
            ..default
        },
        _ => RotationPolicy { cutoff: Cutoff::everyone(after_start(BEGAN[0])), ..default },
    }
}

fn any_policy() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0_u8), 3 => Just(1_u8), 2 => Just(2_u8), 1 => Just(3_u8)]
}

/// Mostly the one policy of the case.
fn near(policy: u8) -> impl Strategy<Value = u8> {
    prop_oneof![9 => Just(policy), 1 => any_policy()]
}

/// Mostly the first session of the first user, so that something happens to it.
fn at() -> impl Strategy<Value = At> {
    (prop_oneof![12 => Just(0), 1 => 1..USERS], prop_oneof![8 => Just(0), 3 => 1..SESSIONS])
        .prop_map(|(user, session)| At { user, session })
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![
        8 => Just(Token::Last),
        4 => Just(Token::Before(1)),
        1 => (2_u8..4).prop_map(Token::Before),
        2 => (0_u8..5, prop_oneof![0_u16..4, 0_u16..400]).prop_map(|(by, age)| Token::Ahead(by, age)),
    ]
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![20 => Just(Twist::None), 1 => Just(Twist::Client), 1 => Just(Twist::Delivery), 1 => Just(Twist::Key)]
}

fn refresh(policy: u8) -> impl Strategy<Value = Command> {
    (at(), token(), 0_u8..4, twist(), near(policy), weighted(0.1)).prop_map(
        |(at, token, attempt, twist, policy, twice)| Command::Refresh {
            at,
            token,
            attempt,
            twist,
            policy,
            twice,
        },
    )
}

fn sign_in(at: impl Strategy<Value = At>, policy: u8) -> impl Strategy<Value = Command> {
    let meanwhile = prop_oneof![
        16 => Just(Meanwhile::Nothing), 2 => Just(Meanwhile::SessionsChange), 1 => Just(Meanwhile::PasswordChanges),
    ];
    (at, near(policy), testing::delivery(), weighted(0.2), 1_u8..4, meanwhile).prop_map(
        |(at, policy, delivery, bound, limit, meanwhile)| Command::SignIn {
            at,
            policy,
            delivery,
            bound,
            limit,
            meanwhile,
        },
    )
}

fn ending() -> impl Strategy<Value = Ending> {
    let which = prop_oneof![
        3 => Just(Which::One),
        2 => Just(Which::AllBut),
        2 => Just(Which::All),
        1 => (0_u16..2).prop_map(Which::Client),
    ];
    let before = weighted_option(0.3, prop_oneof![Just(10_000_u16), Just(10_001_u16), 0..40_000_u16]);
    (which, before, testing::reason(), any::<bool>()).prop_map(|(which, before, reason, note)| Ending {
        which,
        before,
        reason,
        note,
    })
}

fn change() -> impl Strategy<Value = Command> {
    let edit = (
        of(any::<u8>()),
        prop_oneof![3 => Just(None), 2 => Just(Some(true)), 3 => Just(Some(false))],
        of(0_u8..4),
        of(any::<u8>()),
        any::<bool>(),
        weighted_option(0.2, 0_u8..4),
        weighted_option(0.2, any::<bool>()),
    );
    let edit = edit.prop_map(|edit| {
        let (roles, disabled, attributes, password, is_rehash, seen_attributes, seen_password) = edit;
        Edit { roles, disabled, attributes, password, is_rehash, seen_attributes, seen_password }
    });
    (at(), edit, of(ending())).prop_map(|(at, edit, ending)| Command::ChangeUser { at, edit, ending })
}

fn about_users() -> impl Strategy<Value = Command> {
    let names = u8::try_from(NAMES.len()).unwrap_or(u8::MAX);
    prop_oneof![
        2 => (at(), 0..names).prop_map(|(at, name)| Command::CreateUser { user: at.user, name }),
        4 => change(),
        1 => at().prop_map(|at| Command::DeleteUser { user: at.user }),
        2 => (0..USERS, 0..names, 0..PREFIXES, of(0..names), 0_u8..4).prop_map(
            |(user, name, prefix, after, limit)| Command::FindUsers { user, name, prefix, after, limit }
        ),
    ]
}

fn command(policy: u8) -> impl Strategy<Value = Command> {
    prop_oneof![
        14 => refresh(policy),
        3 => sign_in(at(), policy),
        1 => (at(), ending()).prop_map(|(at, ending)| Command::End { at, ending }),
        3 => about_users(),
        1 => (at(), testing::record()).prop_map(|(at, record)| Command::Plant { at, record: Planted(record) }),
        2 => (at(), 1_u8..4).prop_map(|(at, count)| Command::LoseWrites { at, count }),
        1 => at().prop_map(|at| Command::SwapUnseen { at }),
        1 => (at(), any::<u8>()).prop_map(|(at, line)| Command::AppendHistory { at, line }),
        1 => at().prop_map(|at| Command::Look { at }),
    ]
}

/// A case: the first user signs in, and then anything.
pub(super) fn commands() -> impl Strategy<Value = Vec<Command>> {
    any_policy().prop_flat_map(|policy| {
        let first = sign_in(Just(At { user: 0, session: 0 }), policy);
        (first, vec(command(policy), 4..LONGEST)).prop_map(|(first, mut rest)| {
            rest.insert(0, first);
            rest
        })
    })
}

/// The times at which the commands of a case run: mostly close together, at times far apart, at times backwards.
pub(super) fn timeline() -> impl Strategy<Value = Vec<UnixMillis>> {
    let minute = 60_000_i64;
    let step = prop_oneof![
        24 => 0..2_000_i64,
        8 => 2_000..30_000_i64,
        3 => 30_000..10 * minute,
        1 => minute..60 * 24 * 60 * minute,
        3 => -5_000..0_i64,
        1 => -60 * minute..0_i64,
    ];
    vec(step, LONGEST + 1).prop_map(|steps| {
        let times = steps.iter().scan(i64::from(AROUND) * 1000, |now, step| {
            *now += step;
            u64::try_from(*now).ok().map(UnixMillis)
        });
        times.collect()
    })
}
