//! Users in the order of their names, and how many there are.

use redis::{Cmd, FromRedisValue, Pipeline};
use relatch_domain::UserId;
use relatch_domain::user::{User, Username};

use super::Handle;
use super::reply::{self, Row, corrupt};
use super::request::Request;
use crate::store::{StoreError, UserQuery};

/// How many entries are asked for at once.
const AT_ONCE: usize = 1000;

impl Handle {
    pub(super) async fn list(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        let limit = query.limit;
        let Some((mut from, to)) = range(query) else { return Ok(Vec::new()) };
        let mut users = Vec::new();
        while users.len() < limit {
            let wanted = (limit - users.len()).min(AT_ONCE);
            let mut range = Cmd::new();
            range.arg("ZRANGEBYLEX").arg(self.keyspace.users()).arg(&from).arg(&to);
            range.arg("LIMIT").arg(0).arg(wanted);
            let answer = self.lane.ask(&Request::read(range)).await?;
            let members = Vec::<Vec<u8>>::from_redis_value(answer)
                .map_err(|_| corrupt("a list of users that is no list"))?;
            let Some(last) = members.last() else { break };
            from = [b"(".as_slice(), last].concat();
            let complete = members.len() < wanted;
            users.extend(self.listed_users(&members).await?);
            if complete {
                break;
            }
        }
        Ok(users)
    }

    /// The users whom these entries of the list name. An entry whose user is gone is passed over.
    async fn listed_users(&self, members: &[Vec<u8>]) -> Result<Vec<User>, StoreError> {
        let ids: Vec<UserId> = members.iter().filter_map(|member| unlisted(member)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::new();
        for id in &ids {
            commands.add_command(self.user_fields(*id, &[]));
        }
        let mut answers = Row::new(self.lane.ask(&Request::reads(commands)).await?)?;
        let mut users = Vec::new();
        for id in ids {
            users.extend(reply::user(id, &mut answers.row()?)?);
        }
        Ok(users)
    }

    pub(super) async fn enlist(&self, name: &Username, id: UserId) -> Result<(), StoreError> {
        let mut list = Cmd::new();
        list.arg("ZADD").arg(self.keyspace.users()).arg(0).arg(listed(name, id));
        self.lane.ask(&Request::write(list)).await.map(drop)
    }

    pub(super) async fn unlist(&self, name: &Username, id: UserId) -> Result<(), StoreError> {
        let mut unlist = Cmd::new();
        unlist.arg("ZREM").arg(self.keyspace.users()).arg(listed(name, id));
        self.lane.ask(&Request::write(unlist)).await.map(drop)
    }

    pub(super) async fn count(&self) -> Result<u64, StoreError> {
        let mut count = Cmd::new();
        count.arg("ZCARD").arg(self.keyspace.users());
        let answer = self.lane.ask(&Request::read(count)).await?;
        u64::from_redis_value(answer).map_err(|_| corrupt("a number of users that is none"))
    }
}

/// Where the entries that a query asks for begin and end. Nothing for a prefix that no name has.
fn range(query: &UserQuery) -> Option<(Vec<u8>, Vec<u8>)> {
    let prefix = query.prefix.as_deref().unwrap_or_default();
    // It would go on into the user's id.
    if prefix.contains('\0') {
        return None;
    }
    let from = match &query.after {
        // No name has a control character in it, so this comes after all that stands under the name itself.
        Some(name) if name.as_str() >= prefix => format!("[{name}\u{1}").into_bytes(),
        _ if prefix.is_empty() => b"-".to_vec(),
        _ => format!("[{prefix}").into_bytes(),
    };
    // This byte occurs nowhere in UTF-8.
    let to = if prefix.is_empty() { b"+".to_vec() } else { [b"(", prefix.as_bytes(), &[0xff]].concat() };
    Some((from, to))
}

/// A user's entry in the list.
fn listed(name: &Username, id: UserId) -> String {
    format!("{name}\0{id}")
}

fn unlisted(member: &[u8]) -> Option<UserId> {
    let (_, id) = std::str::from_utf8(member).ok()?.split_once('\0')?;
    id.parse().ok()
}
