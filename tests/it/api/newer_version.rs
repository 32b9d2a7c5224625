//! While servers are upgraded one after the other, two versions serve one store: what the newer one has added to what
//! is stored, the older one passes over.

use relatch_testkit::{KEY, On};
use serde_json::json;

/// Adds a member to each JSON object in the store (but to users' attributes, whose members are the application's), a field to
/// each hash, and a copy of each stream's last entry with a further field. Says how much it has added.
const ADDITIONS: &str = r"
local added = {0, 0, 0}
for _, key in ipairs(redis.call('KEYS', 'relatch:*')) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' and string.sub(key, -2) ~= ':s' then
    local fields = redis.call('HGETALL', key)
    for at = 1, #fields, 2 do
      local value = fields[at + 1]
      if fields[at] ~= 'attributes' and string.match(value, '^{.+}$') then
        redis.call('HSET', key, fields[at], string.sub(value, 1, -2) .. ',\'newer\':{\'than\':[1,null]}}')
        added[1] = added[1] + 1
      end
    end
    redis.call('HSET', key, 'xnewer', 'yes')
    added[2] = added[2] + 1
  elseif kind == 'stream' then
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    local value = string.sub(last[2][2], 1, -2) .. ',\'newer\':{\'than\':[1,null]}}'
    redis.call('XADD', key, '*', 'r', value, 'newer', 'yes')
    added[3] = added[3] + 1
  end
end
return table.concat(added, ' ')
";

#[tokio::test]
async fn what_a_newer_version_adds_is_passed_over() {
    let mut app = On::redis().in_own_process().start().await;
    app.user("ada").await;
    let mut device = app.sign_in_as("ada", "phone").await;
    let other = app.sign_in("ada").await;
    // A line of history, a revocation in the feed, an audit record, a note.
    device.refresh_as(Some(KEY)).await.ok();
    other.sign_out().await.expect(204);
    let admin = app.admin().await;
    admin.post("/admin/revoke", &json!({ "session_id": app.sign_in("ada").await.session_id })).await.ok();

    // In one line, as commands are typed.
    let script = ADDITIONS.replace('\n', " ").replace(r"\'", r"\x22");
    let added = app.redis().say(&format!("EVAL \"{script}\" 0"));
    let added: Vec<u32> = added.split(' ').filter_map(|number| number.parse().ok()).collect();
    assert!(added.len() == 3 && added.iter().all(|count| *count >= 2), "{added:?}");

    // One that knew the store before, and one that reads all of it for the first time.
    for node in [app.node.clone(), app.second_node().await] {
        device.node = node;
        device.refresh_as(None).await.ok();
        device.check().await.ok();
        let sessions = device.get("/sessions").await.ok();
        assert_eq!(sessions["items"][0]["device_name"], "phone", "{sessions}");
        device.get(&format!("/sessions/{}/timeline", device.session_id)).await.ok();
    }
    admin.get("/admin/users").await.ok();
    let audit = admin.get("/admin/audit").await.ok();
    assert!(audit["items"].as_array().is_some_and(|items| items.len() > 3), "{audit}");
    // It writes what is stored, too.
    admin.post("/admin/keys/rotate", &json!({})).await.expect(201);
    device.refresh_as(None).await.ok();
    app.sign_in("ada").await.refresh().await.ok();
    // What is found of the Redis itself is another matter.
    let log = app.log();
    let is_error = |line: &&str| line.contains("\"ERROR\"") && !line.contains("\"finding\"");
    let errors: Vec<_> = log.lines().filter(is_error).collect();
    assert!(errors.is_empty(), "{errors:?}");
}
