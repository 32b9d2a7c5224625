//! Looks at every process behind a store, for whoever judges whether it is fit. Writes nothing.

mod facts;

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, RedisError, RedisResult, Value};
use tokio::time::Instant;

use super::process::Wanted;
use super::settings::{self, OpenError, RedisSettings};
use super::target::{Address, Form, Target};
use super::topology::parse;
use super::trouble::{Attempt, of_mode};
use crate::ambient::Clock;
use crate::store::StoreError;

pub use facts::{Facts, Fields, Layout, ProcessFacts, SentinelFacts};

/// How often a round trip is measured.
const ROUND_TRIPS: usize = 21;

/// Asks Redis itself what its user may do, without doing it: ARGV is the key prefix, then commands. Gives those that it may not.
const MAY_NOT: &str = "\
local refused = {}
for i = 2, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '%S+') do words[#words + 1] = word == 'KEY' and ARGV[1] .. ':doctor' or word end
  if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = ARGV[i] end
end
return refused";

/// What a server sends, itself or in its scripts.
const NEEDED: [&str; 33] = [
    "EVAL x 0",
    "EVALSHA x 0",
    "EVAL_RO x 0",
    "EVALSHA_RO x 0",
    "PING",
    "INFO",
    "TIME",
    "GET KEY",
    "SET KEY x",
    "DEL KEY",
    "HGET KEY x",
    "HMGET KEY x",
    "HGETALL KEY",
    "HSET KEY x x",
    "HDEL KEY x",
    "HLEN KEY",
    "HKEYS KEY",
    "HSTRLEN KEY x",
    "HEXISTS KEY x",
    "HINCRBY KEY x 1",
    "PTTL KEY",
    "PEXPIRE KEY 1",
    "ZADD KEY 0 x",
    "ZREM KEY x",
    "ZCARD KEY",
    "ZRANGEBYLEX KEY - +",
    "XADD KEY * x x",
    "XDEL KEY 1-1",
    "XRANGE KEY - +",
    "XREVRANGE KEY + -",
    "WAIT 1 1",
    "CLUSTER NODES",
    "ASKING",
];

/// Looks at everything that the settings name.
///
/// # Errors
/// If nothing could ever be reached with these settings. What does not answer is a fact.
pub async fn inspect(settings: &RedisSettings, clock: &dyn Clock) -> Result<Facts, OpenError> {
    let target = Target::read(settings)?;
    let (doors, form) = (target.doors.clone(), target.form);
    let mut found = Inspection {
        settings,
        target: Target { form: form.clone(), doors: doors.clone() },
        clock,
        facts: Facts {
            layout: Layout::Single,
            is_tls: doors.is_tls(),
            has_password: doors.has_password(),
            processes: Vec::new(),
            sentinels: Vec::new(),
            silent: Vec::new(),
            shards: Vec::new(),
        },
    };
    match form {
        Form::Single(address) => found.processes(vec![address]).await,
        Form::Sentinel { sentinels, service } => {
            found.facts.layout = Layout::Sentinel;
            let addresses = found.sentinels(&sentinels, &service).await;
            found.processes(addresses).await;
        }
        Form::Cluster { seeds } => {
            found.facts.layout = Layout::Cluster;
            let addresses = found.nodes(&seeds).await;
            found.processes(addresses).await;
        }
    }
    Ok(found.facts)
}

struct Inspection<'a> {
    settings: &'a RedisSettings,
    target: Target,
    clock: &'a dyn Clock,
    facts: Facts,
}

impl Inspection<'_> {
    async fn processes(&mut self, addresses: Vec<Address>) {
        for address in addresses {
            match self.process(&address).await {
                Ok(process) => self.facts.processes.push(process),
                Err(error) => self.is_silent(address.to_string(), Wanted::Any, &error),
            }
        }
    }

    /// What does not answer, or not as it must.
    fn is_silent(&mut self, at: String, wanted: Wanted, error: &RedisError) {
        // The address stands before it anyway.
        let attempt = Attempt { at: "it", wanted, is_tls: self.facts.is_tls };
        let why = match attempt.failed(error) {
            StoreError::Unavailable(why) => why,
            other => other.to_string(),
        };
        self.facts.silent.push((at, why));
    }

    async fn process(&self, address: &Address) -> RedisResult<ProcessFacts> {
        let mut connection = self.connect(self.target.doors.redis(address)?).await?;
        let info: String = ask(&mut connection, &["INFO"]).await?;
        fits(&info, Wanted::Any)?;
        let layout = self.facts.layout;
        let cluster = match layout {
            Layout::Cluster => lines(&ask::<String>(&mut connection, &["CLUSTER", "INFO"]).await?),
            Layout::Single | Layout::Sentinel => Fields::default(),
        };
        let config = ask::<BTreeMap<String, String>>(&mut connection, &["CONFIG", "GET", "*"]).await.ok();
        Ok(ProcessFacts {
            at: address.to_string(),
            is_local: is_local(address),
            info: lines(&info),
            config: config.map(Fields),
            cluster,
            refused: self.refused(&mut connection).await?,
            clock_ahead: self.clock_ahead(&mut connection).await?,
            round_trip: round_trip(&mut connection).await?,
        })
    }

    /// What the user may not do, or that scripts are not allowed at all.
    async fn refused(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<String>> {
        let mut words = vec!["EVAL", MAY_NOT, "0", self.settings.key_prefix.as_str()];
        let is_cluster = self.facts.layout == Layout::Cluster;
        words.extend(NEEDED.iter().filter(|command| match **command {
            "CLUSTER NODES" | "ASKING" => is_cluster,
            "WAIT 1 1" => self.settings.sync_replicas > 0,
            _ => true,
        }));
        match ask(connection, &words).await {
            Err(error) if error.code() == Some("NOPERM") => Ok(vec!["EVAL".to_owned()]),
            answer => answer,
        }
    }

    async fn clock_ahead(&self, connection: &mut MultiplexedConnection) -> RedisResult<i64> {
        let before = self.clock.now().0;
        let (seconds, micros): (u64, u64) = ask(connection, &["TIME"]).await?;
        let ours = u64::midpoint(before, self.clock.now().0);
        let theirs = seconds.saturating_mul(1000).saturating_add(micros / 1000);
        Ok(i64::try_from(theirs).unwrap_or(i64::MAX) - i64::try_from(ours).unwrap_or(i64::MAX))
    }

    /// Asks each Sentinel. Gives the primary and the replicas that they know.
    async fn sentinels(&mut self, sentinels: &[Address], service: &str) -> Vec<Address> {
        let mut addresses = Vec::new();
        for at in sentinels {
            match self.sentinel(at, service).await {
                Ok(sentinel) => {
                    for fields in std::iter::once(&sentinel.primary).chain(&sentinel.replicas) {
                        let port = fields.number("port").and_then(|port| u16::try_from(port).ok());
                        if let (Some(host), Some(port)) = (fields.text("ip"), port) {
                            let address = Address::Tcp(host.into(), port);
                            if !addresses.contains(&address) {
                                addresses.push(address);
                            }
                        }
                    }
                    self.facts.sentinels.push(sentinel);
                }
                Err(error) => self.is_silent(format!("Sentinel {at}"), Wanted::Sentinel, &error),
            }
        }
        addresses
    }

    async fn sentinel(&self, at: &Address, service: &str) -> RedisResult<SentinelFacts> {
        let mut connection = self.connect(self.target.doors.sentinel(at)?).await?;
        fits(&ask::<String>(&mut connection, &["INFO", "server"]).await?, Wanted::Sentinel)?;
        let primary = ask(&mut connection, &["SENTINEL", "MASTER", service]).await?;
        let replicas: Vec<BTreeMap<String, String>> =
            ask(&mut connection, &["SENTINEL", "REPLICAS", service]).await?;
        let replicas = replicas.into_iter().map(Fields).collect();
        Ok(SentinelFacts { at: at.to_string(), primary: Fields(primary), replicas })
    }

    /// Asks the first node that answers for the others.
    async fn nodes(&mut self, seeds: &[Address]) -> Vec<Address> {
        for seed in seeds {
            let asked = async {
                let mut connection = self.connect(self.target.doors.redis(seed)?).await?;
                ask::<String>(&mut connection, &["CLUSTER", "NODES"]).await
            };
            match asked.await {
                Ok(text) => {
                    let nodes: Vec<_> = text.lines().filter_map(|line| Node::read(line, seed)).collect();
                    self.facts.shards =
                        nodes.iter().filter(|node| node.is_primary).map(|node| shard(node, &nodes)).collect();
                    return nodes.into_iter().map(|node| node.address).collect();
                }
                Err(error) => self.is_silent(seed.to_string(), Wanted::Any, &error),
            }
        }
        Vec::new()
    }

    async fn connect(&self, client: Client) -> RedisResult<MultiplexedConnection> {
        client.get_multiplexed_async_connection_with_config(&settings::connection_config(self.settings)).await
    }
}

struct Node {
    id: String,
    address: Address,
    is_primary: bool,
    is_failing: bool,
    follows: String,
}

impl Node {
    fn read(line: &str, told_by: &Address) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, place, flags, follows) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let has = |flag| flags.split(',').any(|other| other == flag);
        // Without slots a primary holds nothing that could be lost.
        let has_slots = words.nth(4).is_some();
        Some(Self {
            id: id.to_owned(),
            address: parse(place.split('@').next()?, told_by)?,
            is_primary: has("master") && has_slots,
            is_failing: has("fail") || has("fail?"),
            follows: follows.to_owned(),
        })
    }
}

fn shard(primary: &Node, nodes: &[Node]) -> (String, usize) {
    let replicas = nodes.iter().filter(|node| node.follows == primary.id && !node.is_failing).count();
    (primary.address.to_string(), replicas)
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> RedisResult<T> {
    let mut cmd = Cmd::new();
    cmd.arg(words);
    let answer: Value = connection.send_packed_command(&cmd).await?.extract_error()?;
    Ok(T::from_redis_value(answer)?)
}

async fn round_trip(connection: &mut MultiplexedConnection) -> RedisResult<Duration> {
    let mut taken = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let sent = Instant::now();
        ask::<String>(connection, &["PING"]).await?;
        taken.push(sent.elapsed());
    }
    taken.sort_unstable();
    Ok(taken.get(ROUND_TRIPS / 2).copied().unwrap_or_default())
}

/// An error if the process that says this of itself is of another kind than is wanted.
fn fits(info: &str, wanted: Wanted) -> RedisResult<()> {
    lines(info).text("redis_mode").and_then(|mode| of_mode(mode, wanted)).map_or(Ok(()), Err)
}

/// Reads lines of name and value.
fn lines(text: &str) -> Fields {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Fields(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp(host, _) => {
            &**host == "localhost"
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}
