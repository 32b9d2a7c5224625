//! Users and their names.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use relatch::store::{
    Begun, Rotated, Store, StoreError, UserChangeOutcome, UserCreation, UserDeleted, UserQuery,
};
use relatch_domain::session::Standing;
use relatch_domain::user::{User, Username};
use relatch_domain::{UnixMillis, UserId};
use relatch_testkit::redis_server::RedisServer;

use super::{
    StoppedClock, around, begin_step, begun, new_password, new_user, now, raw, refresh, store_at, store_by,
    tell, user_id,
};

fn name(text: &str) -> Username {
    text.parse().unwrap()
}

async fn names(store: &Arc<dyn Store>, after: Option<&str>, limit: usize) -> Vec<String> {
    let after = after.map(name);
    let users = store.list_users(&UserQuery { after, limit, ..UserQuery::default() }).await.unwrap();
    users.into_iter().map(|user| user.profile.username.to_string()).collect()
}

#[tokio::test]
async fn a_user_is_found_by_id_and_by_name() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let new = new_user("ada");
    let UserCreation::Created(user) = store.create_user(&new).await.unwrap() else { panic!("taken") };
    assert_eq!((user.id, &user.profile.username, user.disabled), (new.id, &new.username, false));
    assert_eq!(store.user(new.id).await.unwrap(), Some(user.clone()));
    let credentials = store.credentials(&new.username).await.unwrap().unwrap();
    assert_eq!((credentials.user, credentials.password_hash), (user, new.password_hash));
    assert!(store.change_user(&new_password(new.id, "other")).await.unwrap().changed().is_some());
    let credentials = store.credentials(&new.username).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.as_deref(), Some("other"));

    assert_eq!(store.user(user_id()).await, Ok(None));
    assert_eq!(store.credentials(&name("grace")).await, Ok(None));
    assert_eq!(store.change_user(&new_password(user_id(), "other")).await, Ok(UserChangeOutcome::Unknown));
    assert_eq!(store.create_user(&new_user("ada")).await, Ok(UserCreation::NameTaken));
}

#[tokio::test]
async fn of_many_who_want_a_name_at_once_exactly_one_gets_it() {
    let server = RedisServer::start().await;
    let stores: Vec<_> = (0..4).map(|_| store_at(&server.url())).collect();
    for round in 0..10 {
        let wanted = format!("ada{round}");
        let rivals: Vec<_> = (0..40).map(|_| new_user(&wanted)).collect();
        let asked = rivals.iter().zip(stores.iter().cycle()).map(|(rival, store)| store.create_user(rival));
        let mut created = Vec::new();
        for answer in join_all(asked).await {
            match answer.unwrap() {
                UserCreation::Created(user) => created.push(user.id),
                UserCreation::NameTaken => {}
            }
        }
        assert_eq!(created.len(), 1);
        let winner = stores[0].credentials(&name(&wanted)).await.unwrap().unwrap();
        assert_eq!(winner.user.id, created[0]);
    }
    assert_eq!(names(&stores[0], None, 100).await.len(), 10);
}

#[tokio::test]
async fn a_claim_without_a_user_is_void_after_a_minute() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(around());
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    // Whoever claimed it never came back.
    let claim = format!("{} {}", user_id(), around().0);
    tell::<()>(&mut connection, &["SET", "test:name:ada", &claim]).await;
    assert_eq!(store.credentials(&name("ada")).await, Ok(None));
    clock.set(UnixMillis(around().0 + 59_999));
    assert_eq!(store.create_user(&new_user("ada")).await, Ok(UserCreation::NameTaken));
    clock.set(around().plus(Duration::from_mins(1)));
    // Of several who want the void claim, again one gets it.
    let rivals: Vec<_> = (0..20).map(|_| new_user("ada")).collect();
    let answers = join_all(rivals.iter().map(|rival| store.create_user(rival))).await;
    let created = answers.iter().filter(|answer| matches!(answer, Ok(UserCreation::Created(_)))).count();
    assert_eq!(created, 1, "{answers:?}");
    assert!(store.credentials(&name("ada")).await.unwrap().is_some());
}

/// The clock has gone back since: nobody has to wait until it has caught up.
#[tokio::test]
async fn a_claim_that_is_dated_more_than_a_minute_ahead_is_void() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(around());
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    let ahead = around().plus(Duration::from_hours(6));
    let claim = format!("{} {}", user_id(), ahead.0);
    tell::<()>(&mut connection, &["SET", "test:name:ada", &claim]).await;
    clock.set(UnixMillis(ahead.0 - 59_999));
    assert_eq!(store.create_user(&new_user("ada")).await, Ok(UserCreation::NameTaken));
    clock.set(around());
    assert!(matches!(store.create_user(&new_user("ada")).await, Ok(UserCreation::Created(_))));
    assert!(store.credentials(&name("ada")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_user_whose_creation_broke_off_before_the_end_is_completed() {
    let server = RedisServer::start().await;
    let clock = StoppedClock::at(around());
    let (store, mut connection) = (store_by(&clock, &server.url()), raw(&server).await);
    let new = new_user("ada");
    assert!(matches!(store.create_user(&new).await, Ok(UserCreation::Created(_))));
    // As it was before the user was listed and the claim settled.
    let claim = format!("{} {}", new.id, around().0);
    tell::<()>(&mut connection, &["SET", "test:name:ada", &claim]).await;
    tell::<()>(&mut connection, &["DEL", "test:users"]).await;
    assert!(store.credentials(&new.username).await.unwrap().is_some());
    clock.set(around().plus(Duration::from_hours(1)));
    assert_eq!(store.create_user(&new_user("ada")).await, Ok(UserCreation::NameTaken));
    assert_eq!(names(&store, None, 10).await, ["ada"]);
    assert_eq!(tell::<String>(&mut connection, &["GET", "test:name:ada"]).await, new.id.to_string());
}

#[tokio::test]
async fn whoever_repeats_their_own_broken_off_creation_gets_their_user() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let new = new_user("ada");
    tell::<()>(&mut connection, &["SET", "test:name:ada", &format!("{} 1", new.id)]).await;
    assert!(matches!(store.create_user(&new).await, Ok(UserCreation::Created(user)) if user.id == new.id));
    assert_eq!(names(&store, None, 10).await, ["ada"]);
}

#[tokio::test]
async fn an_id_that_is_in_use_does_no_harm_to_its_user_and_frees_the_name() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let ada = new_user("ada");
    assert!(matches!(store.create_user(&ada).await, Ok(UserCreation::Created(_))));
    let mut grace = new_user("grace");
    grace.id = ada.id;
    assert!(matches!(store.create_user(&grace).await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.user(ada.id).await.unwrap().unwrap().profile.username, ada.username);
    assert!(matches!(store.create_user(&new_user("grace")).await, Ok(UserCreation::Created(_))));
}

#[tokio::test]
async fn users_are_listed_by_the_bytes_of_their_names_page_by_page() {
    let server = RedisServer::start().await;
    let (store, mut connection) = (store_at(&server.url()), raw(&server).await);
    let mut expected: Vec<String> =
        ["b", "a", "ab", "a.b", "a-b", "ä", "zoë", "a1", "ada@example.org"].map(str::to_owned).to_vec();
    for name in &expected {
        assert!(matches!(store.create_user(&new_user(name)).await, Ok(UserCreation::Created(_))));
    }
    // An entry whose user is gone shortens no page.
    let stray: UserId = user_id();
    tell::<()>(&mut connection, &["ZADD", "test:users", "0", &format!("aa\0{stray}")]).await;
    expected.sort();
    assert_eq!(names(&store, None, 100).await, expected);
    for size in 1..4 {
        let (mut paged, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = names(&store, after.as_deref(), size).await;
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            paged.extend(page);
        }
        assert_eq!(paged, expected);
    }
    assert!(names(&store, Some("a"), 100).await.contains(&"a-b".to_owned()));
    assert_eq!(names(&store, None, 0).await, Vec::<String>::new());
}

/// Everything that is kept under the prefix, but for what is known of deleted users for a day.
async fn kept(server: &RedisServer) -> Vec<String> {
    let mut connection = raw(server).await;
    let mut keys: Vec<String> = tell(&mut connection, &["KEYS", "test:*"]).await;
    for key in std::mem::take(&mut keys) {
        let is_user = key.ends_with(":u");
        let is_tombstone = is_user && tell::<i64>(&mut connection, &["HEXISTS", &key, "deleted"]).await == 1;
        if is_tombstone {
            let day = Duration::from_hours(24).as_secs();
            let left: u64 = tell(&mut connection, &["TTL", &key]).await;
            assert!((day - 60..=day).contains(&left), "{key} goes after {left} s");
            let fields: Vec<String> = tell(&mut connection, &["HKEYS", &key]).await;
            assert!(!fields.iter().any(|field| ["name", "password", "attributes"].contains(&field.as_str())));
        } else {
            keys.push(key);
        }
    }
    keys.sort();
    keys
}

fn deleted(user: &User) -> UserDeleted {
    UserDeleted { user: user.clone(), durable: true }
}

async fn created(store: &Arc<dyn Store>, name: &str) -> User {
    match store.create_user(&new_user(name)).await.unwrap() {
        UserCreation::Created(user) => user,
        UserCreation::NameTaken => panic!("{name} is taken"),
    }
}

#[tokio::test]
async fn a_deletion_leaves_nothing_behind() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let ada = created(&store, "ada").await;
    let (session, record) = begun(&store, ada.id, now()).await;
    assert_eq!(store.delete_user(ada.id, None).await, Ok(Some(deleted(&ada))));
    assert_eq!(kept(&server).await, Vec::<String>::new());
    let Rotated::Blocked(saw) = store.rotate(&refresh(session, &record)).await.unwrap() else {
        panic!("a refresh of a deleted user")
    };
    assert_eq!((saw.seen.session, saw.seen.user, saw.profile), (None, Standing::Gone, None));
    assert_eq!(
        store.delete_user(ada.id, None).await,
        Ok(Some(deleted(&ada))),
        "a repetition is answered the same"
    );
    assert_eq!(store.begin_session(&begin_step(session, record)).await, Ok(Begun::Blocked));
    assert_eq!(kept(&server).await, Vec::<String>::new());
}

/// A user whose deletion broke off behind its first step: name and entry are still there.
async fn half_deleted(server: &RedisServer, store: &Arc<dyn Store>, name: &str) -> User {
    let (ada, mut connection) = (created(store, name).await, raw(server).await);
    let rules = ["ACL", "SETUSER", "clumsy", "on", ">sesame", "~test:*", "+@all", "-zrem"];
    tell::<()>(&mut connection, &rules).await;
    let clumsy = store_at(&format!("redis://clumsy:sesame@{}", server.address()));
    let answer = clumsy.delete_user(ada.id, None).await;
    assert!(matches!(answer, Err(StoreError::Indeterminate(_))), "{answer:?}");
    let left = [format!("test:name:{name}"), format!("test:skeleton:{name}"), "test:users".to_owned()];
    assert_eq!(kept(server).await, left);
    ada
}

#[tokio::test]
async fn a_deletion_that_broke_off_is_one_and_is_finished_by_whoever_repeats_it() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let ada = half_deleted(&server, &store, "ada").await;
    assert_eq!(store.user(ada.id).await, Ok(None));
    assert_eq!(store.credentials(&ada.profile.username).await, Ok(None));
    assert_eq!(store.change_user(&new_password(ada.id, "other")).await, Ok(UserChangeOutcome::Unknown));
    assert_eq!(names(&store, None, 10).await, Vec::<String>::new());
    assert_eq!(store.delete_user(ada.id, None).await, Ok(Some(deleted(&ada))));
    assert_eq!(kept(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_name_of_a_user_whose_deletion_broke_off_goes_to_a_newcomer_and_stays_theirs() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let ada = half_deleted(&server, &store, "ada").await;
    let rivals: Vec<_> = (0..20).map(|_| new_user("ada")).collect();
    let answers = join_all(rivals.iter().map(|rival| store.create_user(rival))).await;
    let created = answers.iter().filter(|answer| matches!(answer, Ok(UserCreation::Created(_)))).count();
    assert_eq!(created, 1, "{answers:?}");
    assert_eq!(store.count_users().await, Ok(1));
    assert_eq!(store.delete_user(ada.id, None).await, Ok(Some(deleted(&ada))));
    assert_eq!(names(&store, None, 10).await, ["ada"]);
    let newcomer = store.credentials(&name("ada")).await.unwrap().unwrap().user;
    assert_ne!(newcomer.id, ada.id);
    assert_eq!(store.delete_user(newcomer.id, None).await, Ok(Some(deleted(&newcomer))));
    assert_eq!(kept(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_user_whose_name_is_only_claimed_is_deleted_with_the_claim() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let ada = created(&store, "ada").await;
    // As it was before the user was listed and the claim settled; and somebody else's name that begins alike.
    let mut connection = raw(&server).await;
    tell::<()>(&mut connection, &["SET", "test:name:ada", &format!("{} 1", ada.id)]).await;
    tell::<()>(&mut connection, &["DEL", "test:users"]).await;
    assert_eq!(store.delete_user(ada.id, None).await, Ok(Some(deleted(&ada))));
    assert_eq!(kept(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn users_created_deleted_and_wanted_again_at_once_leave_names_and_users_that_agree() {
    let server = RedisServer::start().await;
    let stores: Vec<_> = (0..4).map(|_| store_at(&server.url())).collect();
    let name = name("ada");
    for _ in 0..25 {
        let turns = stores.iter().map(async |store| {
            let created =
                matches!(store.create_user(&new_user("ada")).await.unwrap(), UserCreation::Created(_));
            let found = store.credentials(&name).await.unwrap();
            let deleted = match found {
                Some(found) => store.delete_user(found.user.id, None).await.unwrap().is_some(),
                None => false,
            };
            (created, deleted)
        });
        join_all(turns).await;
        let found = store_at(&server.url()).credentials(&name).await.unwrap();
        assert_eq!(stores[0].count_users().await.unwrap(), u64::from(found.is_some()), "{found:?}");
        assert_eq!(names(&stores[0], None, 10).await.len(), usize::from(found.is_some()));
        if let Some(found) = found {
            assert!(stores[0].delete_user(found.user.id, None).await.unwrap().is_some());
        }
        assert_eq!(kept(&server).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_prefix_that_no_name_can_have_finds_nobody() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    created(&store, "ada").await;
    for (prefix, expected) in [("", 1), ("a", 1), ("ada", 1), ("adaa", 0), ("b", 0), ("ada\0", 0), ("\0", 0)]
    {
        let query = UserQuery { prefix: Some(prefix.to_owned()), limit: usize::MAX, after: None };
        assert_eq!(store.list_users(&query).await.unwrap().len(), expected, "{prefix:?}");
    }
}
