//! Users who change and go, and the sessions that end with it.

use std::time::Duration;

use futures_util::future::join_all;
use relatch::ambient::Clock;
use relatch::store::{
    BeginStep, Begun, EndNote, EndStep, NewUser, Rotated, StoreError, UserAsSeen, UserChange,
    UserChangeOutcome, UserCreation, UserQuery, WholeUser,
};
use relatch_domain::UserId;
use relatch_domain::attributes::Attributes;
use relatch_domain::revocation::Scope;
use relatch_domain::session::{EndReason, SessionRecord, Standing};
use relatch_domain::testing::session_began_at;
use relatch_domain::user::{Roles, User, Username};
use relatch_domain::{ClientNumber, OperationId};

use super::{Stage, new_password, new_user, rotation, session, some_id, some_name};

fn attributes(json: &str) -> Attributes {
    serde_json::from_str(json).unwrap()
}

fn change_of(user: &User) -> UserChange {
    UserChange::of(user.id)
}

impl Stage {
    pub(super) async fn a_user_whose_creation_was_given_up_is_never_created(&self) {
        let operations = [1, 2].map(|of| OperationId::from_bytes([of; 16]));
        let [given_up, carried_out] =
            operations.map(|operation| NewUser { operation: Some(operation), ..new_user(some_name("")) });
        let settled = async |new: &NewUser| {
            self.store.settle_operation(new.id, new.operation.unwrap()).await.unwrap().carried_out
        };
        assert!(!settled(&given_up).await);
        assert!(matches!(self.store.create_user(&given_up).await, Err(StoreError::Unavailable(_))));
        assert_eq!(self.store.user(given_up.id).await.unwrap(), None);
        assert!(matches!(self.store.create_user(&carried_out).await, Ok(UserCreation::Created(_))));
        assert!(settled(&carried_out).await);
        // The name of the first is free.
        let another = new_user(given_up.username);
        assert!(matches!(self.store.create_user(&another).await, Ok(UserCreation::Created(_))));
        // A deletion that comes before the creation was told of does not hide it.
        self.store.delete_user(carried_out.id, None).await.unwrap();
        assert!(settled(&carried_out).await);
    }

    pub(super) async fn changes_of_a_password_are_counted_and_new_hashes_are_not(&self) {
        let user = self.user("").await;
        let counted = async || {
            let found = self.store.credentials(&user.profile.username).await.unwrap().unwrap();
            (found.password_hash.unwrap(), found.password_changes)
        };
        assert_eq!(counted().await, ("hash".to_owned(), 0));
        let changed = self.change(&new_password(user.id, "second")).await.unwrap();
        assert_eq!((changed.password_changes, counted().await), (1, ("second".to_owned(), 1)));
        let rehash = UserChange { is_rehash: true, ..new_password(user.id, "second, made anew") };
        let other = UserChange { disabled: Some(false), ..change_of(&user) };
        for change in [&rehash, &other] {
            assert_eq!(self.change(change).await.unwrap().password_changes, 1);
            assert_eq!(counted().await, ("second, made anew".to_owned(), 1));
        }
        let blocked = UserChange {
            as_seen: UserAsSeen { password_hash: Some("hash".to_owned()), attributes: None },
            ..new_password(user.id, "never")
        };
        assert_eq!(self.store.change_user(&blocked).await.unwrap(), UserChangeOutcome::Blocked);
        assert_eq!(counted().await.1, 1);
        let rivals =
            (0..8).map(|number| new_password(user.id, &format!("hash {number}"))).collect::<Vec<_>>();
        let outcomes = join_all(rivals.iter().map(|rival| self.change(rival))).await;
        let mut numbers: Vec<_> =
            outcomes.into_iter().map(|outcome| outcome.unwrap().password_changes).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9], "each has a number of its own");

        // A copy of the user has the number, and another user begins anew.
        let whole = WholeUser {
            credentials: self.store.credentials(&user.profile.username).await.unwrap().unwrap(),
            sessions: Vec::new(),
        };
        self.store.place_user(&whole).await.unwrap();
        assert_eq!(counted().await, (whole.credentials.password_hash.unwrap(), 9));
        self.store.delete_user(user.id, None).await.unwrap();
        let again = NewUser { id: user.id, ..new_user(user.profile.username.clone()) };
        assert!(matches!(self.store.create_user(&again).await, Ok(UserCreation::Created(_))));
        assert_eq!(counted().await, ("hash".to_owned(), 0));
    }

    pub(super) async fn a_user_changes_and_sessions_end_in_one_step(&self) {
        let mut user = self.user("").await;
        for number in [1, 2] {
            self.store.begin_session(&self.begin_step(session(user.id, number))).await.unwrap();
        }
        user.profile.roles = serde_json::from_str::<Roles>(r#"["admin","billing:read"]"#).unwrap();
        user.profile.attributes =
            attributes(r#"{"tenant":"ä \"quoted\"","level":-1,"of":["a","b"],"vip":true}"#);
        let spared = session(user.id, 1);
        let note = EndNote::saying("roles taken away");
        let change = UserChange {
            roles: Some(user.profile.roles.clone()),
            attributes: Some(user.profile.attributes.clone()),
            end: Some((Scope::AllBut(spared.session), EndReason::RevokedByAdmin, note.clone())),
            ..change_of(&user)
        };
        let changed = self.change(&change).await.unwrap();
        assert_eq!(changed.user, user);
        assert_eq!((changed.ended.covered, changed.ended.now), (1, self.clock.now()));
        assert_eq!(changed.ended.ended, [session(user.id, 2).session]);
        assert_eq!(self.store.user(user.id).await.unwrap().as_ref(), Some(&user));
        let listed = self.store.sessions_of(user.id).await.unwrap();
        assert_eq!(listed.user.as_ref(), Some(&user));
        let ended: Vec<_> = listed.sessions.iter().filter(|session| session.record.ended.is_some()).collect();
        assert_eq!(ended.iter().map(|session| &session.note).collect::<Vec<_>>(), [&note]);
        let saw = self.observe(spared).await;
        assert_eq!(
            (saw.profile, saw.seen.session.and_then(|record| record.ended)),
            (Some(user.profile.clone()), None)
        );

        user.profile.attributes = Attributes::default();
        let change = UserChange { attributes: Some(Attributes::default()), ..change_of(&user) };
        let changed = self.change(&change).await.unwrap();
        assert_eq!((changed.user, changed.ended.covered, changed.ended.ended), (user.clone(), 0, Vec::new()));
        let nothing = self.change(&change_of(&user)).await.unwrap();
        assert_eq!((nothing.user, nothing.ended.covered), (user.clone(), 0));
        let kept = self.store.credentials(&user.profile.username).await.unwrap().unwrap();
        assert_eq!((kept.user, kept.password_hash.as_deref()), (user, Some("hash")));
        assert_eq!(self.change(&UserChange::of(some_id())).await, None);
    }

    pub(super) async fn a_change_is_made_only_from_what_was_seen(&self) {
        let user = self.user("").await;
        self.store.begin_session(&self.begin_step(session(user.id, 1))).await.unwrap();
        let (none, some, others) =
            (Attributes::default(), attributes(r#"{"a":["\"é\""],"b":1}"#), attributes(r#"{"b":1}"#));
        let change = |seen: &Attributes, new: &Attributes| UserChange {
            attributes: Some(new.clone()),
            as_seen: UserAsSeen { attributes: Some(seen.clone()), password_hash: None },
            end: Some((Scope::All, EndReason::RevokedByAdmin, EndNote::default())),
            ..change_of(&user)
        };
        for unseen in [change(&some, &others), change(&others, &none)] {
            assert_eq!(self.store.change_user(&unseen).await.unwrap(), UserChangeOutcome::Blocked);
        }
        assert_eq!(self.store.user(user.id).await.unwrap(), Some(user.clone()));
        let saw = self.observe(session(user.id, 1)).await.seen.session;
        assert_eq!(saw.and_then(|record| record.ended), None, "what is blocked ends nothing");
        // From none to some and back: attributes that were never there and those that are gone are the same.
        for (seen, new) in [(&none, &some), (&some, &none), (&none, &others)] {
            let changed = self.change(&change(seen, new)).await.unwrap();
            assert_eq!(changed.user.profile.attributes, *new);
        }

        let by_password = |seen: &str, new: &str| UserChange {
            as_seen: UserAsSeen { password_hash: Some(seen.to_owned()), attributes: None },
            ..new_password(user.id, new)
        };
        let outcome = self.store.change_user(&by_password("another", "new")).await.unwrap();
        assert_eq!(outcome, UserChangeOutcome::Blocked);
        assert!(self.change(&by_password("hash", "new")).await.is_some());
        let rivals = ["b", "c", "d", "e"].map(|new| by_password("new", new));
        let outcomes = join_all(rivals.iter().map(|rival| self.change(rival))).await;
        assert_eq!(outcomes.iter().flatten().count(), 1, "of many from the same state one is made");
        let nobodys = UserChange { user: some_id(), ..by_password("new", "other") };
        assert_eq!(self.store.change_user(&nobodys).await.unwrap(), UserChangeOutcome::Unknown);
    }

    pub(super) async fn a_session_begins_only_by_the_password_that_was_checked(&self) {
        let user = self.user("").await;
        // Read, then the password is changed, then begun.
        let found = self.store.credentials(&user.profile.username).await.unwrap().unwrap();
        let step = |number, checked_hash: Option<&str>| BeginStep {
            checked_hash: checked_hash.map(str::to_owned),
            ..self.begin_step(session(user.id, number))
        };
        self.change(&new_password(user.id, "another")).await.unwrap();
        let late = step(1, found.password_hash.as_deref());
        assert_eq!(self.store.begin_session(&late).await.unwrap(), Begun::Blocked);
        assert_eq!(self.observe(late.session).await.seen.session, None);
        for (number, hash) in [(1, Some("another")), (2, None)] {
            assert_eq!(self.store.begin_session(&step(number, hash)).await.unwrap(), Begun::Begun);
        }
        let without = NewUser { password_hash: None, ..new_user(some_name("")) };
        self.store.create_user(&without).await.unwrap();
        let of_nothing = BeginStep { session: session(without.id, 1), ..step(3, Some("another")) };
        assert_eq!(self.store.begin_session(&of_nothing).await.unwrap(), Begun::Blocked);
    }

    pub(super) async fn a_disabled_user_can_neither_sign_in_nor_refresh(&self) {
        let began = self.session(1).await;
        let user = began.session.user;
        let set = async |disabled| {
            let change = UserChange { disabled: Some(disabled), ..UserChange::of(user) };
            let changed = self.change(&change).await.unwrap();
            assert_eq!(changed.user.disabled, disabled);
        };
        set(true).await;
        let Rotated::Blocked(saw) = self.store.rotate(&rotation(&began, 1)).await.unwrap() else {
            assert_eq!("rotated", "blocked");
            return;
        };
        assert_eq!((saw.seen.user, saw.seen.session), (Standing::Disabled, Some(began.record)));
        let another = self.begin_step(session(user, 2));
        assert_eq!(self.store.begin_session(&another).await.unwrap(), Begun::Blocked);
        set(false).await;
        assert!(matches!(self.store.rotate(&rotation(&began, 1)).await.unwrap(), Rotated::Applied(_)));
    }

    pub(super) async fn a_deleted_user_is_gone_with_all_sessions_and_the_name_is_free(&self) {
        let began = self.session(1).await;
        let user = self.store.user(began.session.user).await.unwrap().unwrap();
        let before = self.store.count_users().await.unwrap();
        let end = EndStep {
            user: user.id,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::saying("with a note"),
        };
        self.store.end_sessions(&end).await.unwrap();
        let deleted = self.store.delete_user(user.id, None).await.unwrap().unwrap();
        assert_eq!((&deleted.user, deleted.durable), (&user, true));
        let again = self.store.delete_user(user.id, None).await.unwrap().unwrap();
        assert_eq!(again, deleted, "a repetition is answered the same");
        assert_eq!(self.store.count_users().await.unwrap(), before - 1);
        assert_eq!(self.store.user(user.id).await.unwrap(), None);
        assert_eq!(self.store.credentials(&user.profile.username).await.unwrap(), None);
        let saw = self.observe(began.session).await;
        assert_eq!((saw.seen.user, saw.seen.session, saw.profile), (Standing::Gone, None, None));
        assert!(matches!(self.store.rotate(&rotation(&began, 1)).await.unwrap(), Rotated::Blocked(_)));
        assert_eq!(self.store.begin_session(&began).await.unwrap(), Begun::Blocked);
        assert_eq!(self.store.end_sessions(&end).await.unwrap().covered, 0);

        let newcomer = new_user(user.profile.username.clone());
        assert!(matches!(self.store.create_user(&newcomer).await.unwrap(), UserCreation::Created(_)));
        let found = self.store.credentials(&newcomer.username).await.unwrap().unwrap();
        assert_eq!(found.user.id, newcomer.id);
        assert!(self.store.delete_user(user.id, None).await.unwrap().is_some());
        let nobody = self.store.delete_user(some_id(), None).await.unwrap();
        assert_eq!(nobody, None, "nobody has had this id");
        assert_eq!(self.store.user(newcomer.id).await.unwrap(), Some(found.user));
        assert!(self.store.sessions_of(newcomer.id).await.unwrap().sessions.is_empty());
    }

    pub(super) async fn of_many_who_want_a_skeleton_one_has_it(&self) {
        let base = some_name("");
        // The second with a Cyrillic letter.
        let name = |suffix: &str| -> Username { format!("{base}{suffix}").parse().unwrap() };
        let (latin, cyrillic) = (name("-a"), name("-\u{430}"));
        let ids: Vec<UserId> = (0..8).map(|_| some_id()).collect();
        let claims = ids.iter().zip([&latin, &cyrillic].into_iter().cycle());
        let claimed = join_all(claims.map(|(id, name)| self.store.claim_skeleton(name, *id))).await;
        let winners: Vec<UserId> = ids
            .iter()
            .zip(&claimed)
            .filter(|(_, claimed)| **claimed == Ok(true))
            .map(|(id, _)| *id)
            .collect();
        let [winner] = winners.as_slice() else { panic!("{winners:?} have the skeleton") };
        let another = some_id();
        // It may be claimed again by the same, and given up by no other.
        assert_eq!(self.store.claim_skeleton(&cyrillic, *winner).await, Ok(true));
        self.store.release_skeleton(&latin, another).await.unwrap();
        assert_eq!(self.store.claim_skeleton(&latin, another).await, Ok(false));
        self.store.release_skeleton(&latin, *winner).await.unwrap();
        assert_eq!(self.store.claim_skeleton(&latin, another).await, Ok(true));
        // Nobody came: the claim is void after a minute.
        self.clock.advance(Duration::from_secs(59));
        assert_eq!(self.store.claim_skeleton(&latin, *winner).await, Ok(false));
        self.clock.advance(Duration::from_secs(2));
        assert_eq!(self.store.claim_skeleton(&latin, *winner).await, Ok(true));
    }

    pub(super) async fn a_user_has_the_skeleton_of_the_name_until_deleted(&self) {
        let ada = self.user("-ada").await;
        let alike: Username = ada.profile.username.as_str().replace("-ada", "-\u{430}da").parse().unwrap();
        let (first, second) = (new_user(alike.clone()), some_id());
        self.clock.advance(Duration::from_hours(1));
        assert_eq!(self.store.claim_skeleton(&alike, second).await, Ok(false));
        // An administrator may: then the first of them has it still.
        assert!(matches!(self.store.create_user(&first).await.unwrap(), UserCreation::Created(_)));
        assert_eq!(self.store.claim_skeleton(&alike, first.id).await, Ok(false));
        assert_eq!(self.store.claim_skeleton(&alike, ada.id).await, Ok(true));
        self.store.delete_user(ada.id, None).await.unwrap();
        assert_eq!(self.store.claim_skeleton(&alike, second).await, Ok(true));
    }

    pub(super) async fn users_are_found_by_prefix_and_counted(&self) {
        let before = self.store.count_users().await.unwrap();
        let base = some_name("");
        let named = |suffix: &str| -> Username { format!("{base}{suffix}").parse().unwrap() };
        for suffix in ["b", "a", "aé", "aa", "é", ""] {
            self.store.create_user(&new_user(named(suffix))).await.unwrap();
        }
        assert_eq!(self.store.count_users().await.unwrap(), before + 6);
        let found = async |prefix: &str, after: Option<&str>, limit| {
            let query = UserQuery { prefix: Some(format!("{base}{prefix}")), after: after.map(named), limit };
            let users = self.store.list_users(&query).await.unwrap();
            let all = users.into_iter().map(|user| user.profile.username.to_string());
            all.map(|name| name.trim_start_matches(base.as_str()).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("", None, 100).await, ["", "a", "aa", "aé", "b", "é"]);
        assert_eq!(found("a", None, 100).await, ["a", "aa", "aé"]);
        assert_eq!(found("a", None, 2).await, ["a", "aa"]);
        assert_eq!(found("a", Some("aa"), 100).await, ["aé"]);
        assert_eq!(found("a", Some(""), 100).await, ["a", "aa", "aé"], "after what comes before the prefix");
        assert_eq!(found("a", Some("b"), 100).await, Vec::<String>::new(), "after all that begins so");
        assert_eq!(found("é", None, 100).await, ["é"]);
        assert_eq!(found("ab", None, 100).await, Vec::<String>::new());
        assert_eq!(found("a", None, 0).await, Vec::<String>::new());
        assert_eq!(found("a\0", None, 100).await, Vec::<String>::new(), "no name has such a character");
    }

    pub(super) async fn sessions_end_by_time_and_by_client(&self) {
        let user = self.user("").await;
        let mut began = Vec::new();
        let now = self.clock.now();
        for (number, later, client) in [(1, 0, 0), (2, 1, 0), (3, 2, 7)] {
            let mut step = self.begin_step(session(user.id, number));
            step.session.session = session_began_at(now.plus(Duration::from_millis(later)));
            step.record.client = ClientNumber(client);
            self.store.begin_session(&step).await.unwrap();
            began.push(step);
        }
        let began_at = |at: usize| Some(now.plus(Duration::from_millis(at as u64)));
        let id = |at: usize| began.get(at).map(|step| step.session.session).unwrap();
        let end = async |scope, begun_before| {
            let step = EndStep { begun_before, ..EndStep::of(user.id, scope, EndReason::SignedInBefore) };
            let ended = self.store.end_sessions(&step).await.unwrap();
            (ended.covered, ended.ended)
        };
        assert_eq!(end(Scope::All, began_at(0)).await, (0, Vec::new()), "not before, but at");
        assert_eq!(end(Scope::One(id(1)), began_at(1)).await, (0, Vec::new()));
        assert_eq!(end(Scope::AllBut(id(0)), began_at(1)).await, (0, Vec::new()));
        assert_eq!(end(Scope::All, began_at(1)).await, (1, vec![id(0)]));
        assert_eq!(end(Scope::All, began_at(2)).await, (2, vec![id(1)]), "an end is final");
        assert_eq!(end(Scope::Client(ClientNumber(8)), None).await, (0, Vec::new()));
        assert_eq!(end(Scope::Client(ClientNumber(7)), began_at(2)).await, (0, Vec::new()));
        assert_eq!(end(Scope::Client(ClientNumber(7)), began_at(3)).await, (1, vec![id(2)]));
        let left = self.store.sessions_of(user.id).await.unwrap().sessions;
        assert!(left.iter().all(|session| session.record.ended.is_some()));
        let records: Vec<SessionRecord> = left.iter().map(|session| session.record).collect();
        let ends = records.iter().map(|record| record.ended.map(|ended| ended.reason));
        assert_eq!(ends.collect::<Vec<_>>(), [Some(EndReason::SignedInBefore); 3]);
    }
}
