//! The steps on signing keys.

use redis::Value;

use super::Handle;
use super::failure::Effect;
use super::reply::{self, Row, corrupt};
use super::request::{Request, Script, script};
use crate::store::{KeyShelf, StoreError, StoredKey};

static PUT_KEY: Script = script!("put_key", Effect::Writes);
static REMOVE_KEY: Script = script!("remove_key", Effect::Writes);

impl Handle {
    pub(super) async fn all_keys(&self) -> Result<KeyShelf, StoreError> {
        let mut fields = Row::new(self.router.ask(&Request::read("HGETALL", &self.keyspace.keys())).await?)?;
        let mut found = KeyShelf::default();
        while let Some(field) = fields.value() {
            let field = Row::new(Value::Array(vec![field]))?.text()?.unwrap_or_default();
            let value = fields.bytes()?.unwrap_or_default();
            if field == "version" {
                let version = String::from_utf8(value).ok().and_then(|text| text.parse().ok());
                found.version = version.ok_or_else(|| corrupt("signing keys of an invalid version"))?;
            } else if let Some(id) = field.strip_prefix('k') {
                found.keys.push(StoredKey { id: id.to_owned(), sealed: value });
            }
        }
        found.keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    pub(super) async fn put(&self, expected: u64, key: &StoredKey) -> Result<bool, StoreError> {
        let request = PUT_KEY.on([&self.keyspace.keys()]).arg(expected).arg(&key.id).arg(&key.sealed);
        self.write(&request, reply::flag, |put| *put).await?.durably()
    }

    pub(super) async fn remove(&self, expected: u64, id: &str) -> Result<bool, StoreError> {
        let request = REMOVE_KEY.on([&self.keyspace.keys()]).arg(expected).arg(id);
        self.write(&request, reply::flag, |removed| *removed).await?.durably()
    }
}
