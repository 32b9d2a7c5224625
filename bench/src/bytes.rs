//! Fills a Redis with users and their sessions as the server does, a stage at a time, so that what each costs can be read off
//! the memory that Redis uses.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use relatch::ambient::{Clock as _, SystemClock};
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{BeginStep, Begun, NewUser, SessionDetails, Store, UserCreation};
use relatch_domain::attributes::Attributes;
use relatch_domain::budget::Debt;
use relatch_domain::ids::{ClientNumber, MacKeyId, Nonce, OriginTag};
use relatch_domain::session::{Authentication, Delivery, SessionRecord};
use relatch_domain::user::Roles;
use relatch_domain::{Generation, SessionId, SessionRef, UnixSeconds, UserId};

use crate::Error;

/// How many steps are under way at once.
const AT_ONCE: usize = 64;
const DAY: u32 = 86_400;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// The users, without sessions.
    Users,
    /// The sessions: hot records, and details beside them.
    Sessions,
    /// Eight lines of history for each session.
    Histories,
}

/// What the command is told.
#[derive(Debug, clap::Parser)]
#[command(about = "Fills a Redis with users and sessions, a stage at a time")]
pub struct Options {
    /// URL of the Redis.
    #[arg(long)]
    redis: String,
    /// How many users there are to be.
    #[arg(long)]
    users: u64,
    /// How many sessions each has.
    #[arg(long)]
    sessions: u64,
    /// What is to be written. Each stage needs the one before.
    #[arg(long)]
    stage: Stage,
}

/// Writes a stage.
///
/// # Errors
/// If the store fails, or does not take what it is given.
pub async fn run(options: &Options) -> Result<(), Error> {
    let settings = RedisSettings {
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        ..RedisSettings::at(options.redis.clone())
    };
    let store = RedisBackend::open(&settings, TimeSource::Store)?.handle();
    let store = &*store;
    let fill = async |user: u64| match options.stage {
        Stage::Users => create(store, user).await,
        Stage::Sessions => {
            for session in 0..options.sessions {
                begin(store, user, session).await?;
            }
            Ok(())
        }
        Stage::Histories => {
            for session in 0..options.sessions {
                for line in 0..8 {
                    store.append_history(session_of(user, session), &line_of(line)).await?;
                }
            }
            Ok(())
        }
    };
    let writes = stream::iter((0..options.users).map(fill)).buffer_unordered(AT_ONCE);
    writes.try_for_each(async |()| Ok::<_, Error>(())).await
}

async fn create(store: &dyn Store, user: u64) -> Result<(), Error> {
    let new = NewUser {
        id: user_id(user),
        username: format!("user-{user:06}@example.org").parse()?,
        roles: Roles::default(),
        attributes: Attributes::default(),
        disabled: false,
        // As long as a bcrypt hash.
        password_hash: Some("$2b$12$".to_owned() + &"x".repeat(53)),
        operation: None,
    };
    match store.create_user(&new).await? {
        UserCreation::Created(_) => Ok(()),
        UserCreation::NameTaken => Err("a name is taken: this is for an empty store".into()),
    }
}

async fn begin(store: &dyn Store, user: u64, session: u64) -> Result<(), Error> {
    let now = SystemClock.now().seconds();
    let step = BeginStep {
        session: session_of(user, session),
        record: record(now, user.wrapping_mul(31).wrapping_add(session)),
        thumbprint: None,
        details: SessionDetails {
            device_name: Some("Ada's telephone".to_owned()),
            user_agent: Some("ExampleApp/5.12.3 (Android 16; SM-S931B) okhttp/5.1.0".to_owned()),
            address: Some("198.51.100.123".to_owned()),
        },
        changes: Vec::new(),
        checked_hash: None,
        max_found: usize::MAX,
        operation: None,
    };
    match store.begin_session(&step).await? {
        Begun::Begun | Begun::Alone => Ok(()),
        Begun::Blocked => Err("a session does not begin: are the users there?".into()),
    }
}

/// A record of a session that has been refreshed. All are of the same size.
fn record(now: UnixSeconds, noise: u64) -> SessionRecord {
    let nonce = |salt: u64| Nonce(noise.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SessionRecord {
        generation: Generation(12),
        nonce: nonce(1),
        previous_nonce: nonce(2),
        mac_key: MacKeyId(1),
        attempt: None,
        rotated_at: now.millis(),
        idle_ahead: 0,
        signed_in_at: now,
        idle_deadline: UnixSeconds(now.0.saturating_add(14 * DAY)),
        absolute_deadline: UnixSeconds(now.0.saturating_add(90 * DAY)),
        ended: None,
        delivery: Delivery::Body,
        authentication: Authentication::Password,
        dpop_bound: false,
        client: ClientNumber::FIRST_PARTY,
        debt: Debt::default(),
        origin: OriginTag(7),
    }
}

fn line_of(number: u32) -> String {
    format!(
        "{{\"at\":{},\"what\":\"retried\",\"generation\":{number},\"address\":\"198.51.100.123\",\
         \"user_agent\":\"ExampleApp/5.12.3 (Android 16; SM-S931B) okhttp/5.1.0\"}}",
        1_790_000_000 + number
    )
}

fn user_id(user: u64) -> UserId {
    let mut bytes = [0x5a; 16];
    bytes[8..].copy_from_slice(&user.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn session_of(user: u64, session: u64) -> SessionRef {
    let mut bytes = [0xa5; 16];
    bytes[8..].copy_from_slice(&session.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95).to_be_bytes());
    SessionRef { user: user_id(user), session: SessionId::from_bytes(bytes) }
}
