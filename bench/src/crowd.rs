//! Times the steps on users, straight at the store: no HTTP, no hashing. First with few users, then with many.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use relatch::ambient::{Clock, Random, SystemClock};
use relatch::store::embedded::EmbeddedStore;
use relatch::store::redis::{RedisBackend, RedisSettings, TimeSource};
use relatch::store::{NewUser, Store, UserCreation, UserQuery};
use relatch_domain::attributes::Attributes;
use relatch_domain::user::{Roles, Username};
use serde_json::{Value, json};

use crate::Error;

/// How many users there are at the first measurement.
const FEW: usize = 100;
/// How many are made at once, as by as many requests.
const AT_ONCE: usize = 64;
/// How often each step is taken.
const TIMES: usize = 500;
/// A page as the administration's calls give it by default.
const PAGE: usize = 50;

/// What the command is told.
#[derive(Debug, clap::Parser)]
#[command(about = "How long the steps on users take with few users and with many")]
pub struct Options {
    /// URL of an empty Redis.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    redis: Option<String>,
    /// Path of an embedded store to be made.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How many users many are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(101..))]
    users: usize,
}

/// Makes the users and measures. The report is JSON: for each step the microseconds with few users and with many.
///
/// # Errors
/// If the store cannot be opened or is in use, or a step fails or answers wrong.
pub async fn run(options: &Options) -> Result<Value, Error> {
    let store = open(options)?;
    if store.count_users().await? > 0 {
        return Err("the store has users: this is for an empty one".into());
    }
    let mut crowd = Crowd { store, users: Vec::new() };
    crowd.grow(FEW).await?;
    let few = crowd.measure().await?;
    let start = Instant::now();
    crowd.grow(options.users).await?;
    let made_in = start.elapsed();
    let many = crowd.measure().await?;
    let steps = few
        .iter()
        .zip(&many)
        .map(|((name, few), (_, many))| json!({ "step": name, "few": few, "many": many }));
    Ok(json!({
        "few": FEW,
        "many": options.users,
        "users_made_per_second": per_second(options.users - FEW, made_in),
        "steps": steps.collect::<Vec<_>>(),
    }))
}

fn open(options: &Options) -> Result<Arc<dyn Store>, Error> {
    if let Some(path) = &options.file {
        let store = EmbeddedStore::open(path, Arc::new(SystemClock));
        return Ok(store?.handle());
    }
    let settings = RedisSettings {
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        ..RedisSettings::at(options.redis.clone().unwrap_or_default())
    };
    let backend = RedisBackend::open(&settings, TimeSource::Store);
    Ok(backend?.handle())
}

struct Crowd {
    store: Arc<dyn Store>,
    users: Vec<NewUser>,
}

type Row = (&'static str, Value);

impl Crowd {
    /// Creates users as the application does, until there are so many.
    async fn grow(&mut self, to: usize) -> Result<(), Error> {
        while self.users.len() < to {
            let next = self.users.len()..to.min(self.users.len() + AT_ONCE);
            let new = next.map(new_user).collect::<Result<Vec<_>, Error>>()?;
            let creations = try_join_all(new.iter().map(|new| self.store.create_user(new))).await?;
            if !creations.iter().all(|creation| matches!(creation, UserCreation::Created(_))) {
                return Err("a name is taken".into());
            }
            self.users.extend(new);
        }
        Ok(())
    }

    async fn measure(&self) -> Result<Vec<Row>, Error> {
        let (store, count) = (&self.store, self.users.len());
        let middle = self.users.get(count / 2);
        let behind = PAGE.min(count - count / 2 - 1);
        let list = async |prefix: Option<&str>, after: Option<&NewUser>, expected: usize| {
            let (prefix, after) = (prefix.map(str::to_owned), after.map(|user| user.username.clone()));
            Ok(store.list_users(&UserQuery { prefix, after, limit: PAGE }).await?.len() == expected)
        };
        Ok(vec![
            time("first page of 50", async |_| list(None, None, PAGE).await).await?,
            time("page of 50 in the middle", async |_| list(None, middle, behind).await).await?,
            time("search, 50 of many found", async |_| list(Some("user-0"), None, PAGE).await).await?,
            time("search, one found", async |round| {
                list(Some(self.some(round)?.username.as_str()), None, 1).await
            })
            .await?,
            time("search, nobody found", async |_| list(Some("zo"), None, 0).await).await?,
            time("count", async |_| Ok(store.count_users().await? == count as u64)).await?,
            time("get by id", async |round| Ok(store.user(self.some(round)?.id).await?.is_some())).await?,
            time("credentials by name", async |round| {
                Ok(store.credentials(&self.some(round)?.username).await?.is_some())
            })
            .await?,
            time("credentials of nobody", async |round| {
                let name: Username = format!("nobody-{round}").parse()?;
                Ok(store.credentials(&name).await?.is_none())
            })
            .await?,
        ])
    }

    /// One of the users, another one for each number, from all over.
    fn some(&self, number: usize) -> Result<&NewUser, Error> {
        self.users.get(number.wrapping_mul(7919) % self.users.len()).ok_or_else(|| "no users".into())
    }
}

/// Takes a step often, one after the other, and gives the median, the 99th of a hundred, and the longest time in µs.
async fn time(what: &'static str, step: impl AsyncFn(usize) -> Result<bool, Error>) -> Result<Row, Error> {
    let mut times = Vec::with_capacity(TIMES);
    for round in 0..TIMES {
        let start = Instant::now();
        let right = step(round).await?;
        times.push(start.elapsed().as_micros());
        if !right {
            return Err(format!("{what}: a wrong answer").into());
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((TIMES * percent / 100).min(TIMES - 1)).copied().unwrap_or_default();
    Ok((what, json!({ "p50": at(50), "p99": at(99), "max": at(100) })))
}

fn new_user(number: usize) -> Result<NewUser, Error> {
    Ok(NewUser {
        id: Random.user_id(SystemClock.now())?,
        username: format!("user-{number:06}@example.org").parse()?,
        roles: Roles::default(),
        attributes: Attributes::default(),
        disabled: false,
        // As long as a bcrypt hash.
        password_hash: Some("$2b$12$".to_owned() + &"x".repeat(53)),
        operation: None,
    })
}

fn per_second(count: usize, time: Duration) -> u128 {
    count as u128 * 1000 / time.as_millis().max(1)
}
