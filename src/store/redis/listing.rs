//! Users in the order of their names, and how many there are.

use redis::FromRedisValue;
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
            let range = Request::read("ZRANGEBYLEX", &self.keyspace.users()).arg(&from).arg(&to);
            let answer = self.router.ask(&range.arg("LIMIT").arg(0).arg(wanted)).await?;
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
        let requests: Vec<_> = ids.iter().map(|id| self.user_fields(*id, &[])).collect();
        let mut users = Vec::new();
        for (id, answer) in ids.into_iter().zip(self.router.ask_all(&requests).await?) {
            users.extend(reply::user(id, &mut Row::new(answer)?)?);
        }
        Ok(users)
    }

    pub(super) async fn enlist(&self, name: &Username, id: UserId) -> Result<(), StoreError> {
        let list = Request::write("ZADD", &self.keyspace.users()).arg(0).arg(listed(name, id));
        self.router.ask(&list).await.map(drop)
    }

    pub(super) async fn unlist(&self, name: &Username, id: UserId) -> Result<(), StoreError> {
        let unlist = Request::write("ZREM", &self.keyspace.users()).arg(listed(name, id));
        self.router.ask(&unlist).await.map(drop)
    }

    pub(super) async fn count(&self) -> Result<u64, StoreError> {
        let answer = self.router.ask(&Request::read("ZCARD", &self.keyspace.users())).await?;
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
