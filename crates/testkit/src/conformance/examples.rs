//! The contract of a store, one sentence each. Users are new in each example, so that the store may be in use.
#![expect(clippy::unwrap_used, reason = "an example that cannot go on is a test that failed")]

mod keys;
mod sessions;
mod shared;
mod users;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use relatch::ambient::{Clock, Random};
use relatch::store::{
    BeginStep, Begun, EndNote, EndStep, Marker, NewUser, Observation, RotateStep, Rotated, SessionDetails,
    Store, SwapStep, UserChange, UserChangeOutcome, UserChanged, UserCreation, UserQuery,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::ids::{MacKeyId, OriginTag, Thumbprint};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::revocation::Scope;
use relatch_domain::rotation::{Fresh, Presented, next};
use relatch_domain::session::{EndReason, SessionRecord, Standing};
use relatch_domain::sign_in::Change;
use relatch_domain::testing::live_record;
use relatch_domain::user::{Role, Roles, User, Username};
use relatch_domain::{Nonce, SessionId, SessionRef, UserId};

use crate::clock::ManualClock;

/// Runs all examples on a store that takes its time from `clock`. Panics at the first that does not hold.
pub async fn examples(store: Arc<dyn Store>, clock: ManualClock) {
    let stage = Stage { store, clock };
    stage.the_store_answers().await;
    stage.a_user_is_found_by_id_and_by_name().await;
    stage.a_name_goes_to_one_of_many().await;
    stage.users_are_listed_in_the_byte_order_of_their_names().await;
    stage.a_user_whose_creation_was_given_up_is_never_created().await;
    stage.a_password_is_set_for_those_who_exist().await;
    stage.changes_of_a_password_are_counted_and_new_hashes_are_not().await;
    stage.a_user_changes_and_sessions_end_in_one_step().await;
    stage.a_change_is_made_only_from_what_was_seen().await;
    stage.a_session_begins_only_by_the_password_that_was_checked().await;
    stage.a_disabled_user_can_neither_sign_in_nor_refresh().await;
    stage.a_deleted_user_is_gone_with_all_sessions_and_the_name_is_free().await;
    stage.of_many_who_want_a_skeleton_one_has_it().await;
    stage.a_user_has_the_skeleton_of_the_name_until_deleted().await;
    stage.users_are_found_by_prefix_and_counted().await;
    stage.sessions_end_by_time_and_by_client().await;
    stage.cutoffs_only_rise_and_everyones_not_into_the_future().await;
    stage.trails_are_kept_apart_and_read_backwards().await;
    stage.a_trail_keeps_the_latest_and_not_many_more().await;
    stage.a_session_begins_once_and_for_a_user().await;
    stage.of_many_rotations_of_one_token_one_applies().await;
    stage.a_lost_answer_is_recognised_by_its_nonce().await;
    stage.a_bound_session_needs_its_key().await;
    stage.a_swap_needs_the_record_as_it_was_seen().await;
    stage.an_end_is_final().await;
    stage.an_end_gets_past_rotations_under_way().await;
    stage.a_sign_in_makes_room_or_leaves_all_as_it_was().await;
    stage.a_session_begins_among_so_many_and_no_more().await;
    stage.a_forgotten_session_leaves_nothing_behind().await;
    stage.a_history_keeps_its_latest_lines_and_goes_with_the_session().await;
    stage.histories_of_a_user_have_a_limit_and_the_longest_give_way().await;
    stage.a_user_is_placed_with_all_that_was_kept().await;
    stage.keys_are_put_at_the_version_that_was_seen().await;
    stage.keys_are_removed_at_the_version_that_was_seen().await;
    stage.a_marker_is_left_once().await;
}

struct Stage {
    store: Arc<dyn Store>,
    clock: ManualClock,
}

impl Stage {
    async fn the_store_answers(&self) {
        self.store.ping().await.unwrap();
        let nobody = session(some_id(), 1);
        let saw = self.store.observe(nobody).await.unwrap();
        assert_eq!((saw.seen.session, saw.seen.user, saw.profile), (None, Standing::Gone, None));
        assert_eq!(saw.now, self.clock.now());
        let none = self.store.sessions_of(nobody.user).await.unwrap();
        assert_eq!((none.user, none.sessions, none.corrupt), (None, Vec::new(), Vec::new()));
    }

    async fn a_user_is_found_by_id_and_by_name(&self) {
        let user = self.user("").await;
        assert_eq!(user.created_at, self.clock.now());
        assert!(user.profile.roles.has("user") && !user.disabled);
        assert_eq!(self.store.user(user.id).await.unwrap().as_ref(), Some(&user));
        let found = self.store.credentials(&user.profile.username).await.unwrap().unwrap();
        assert_eq!((found.user, found.password_hash.as_deref()), (user, Some("hash")));
        assert_eq!(self.store.user(some_id()).await.unwrap(), None);
        assert_eq!(self.store.credentials(&some_name("nobody")).await.unwrap(), None);
    }

    async fn a_name_goes_to_one_of_many(&self) {
        let name = some_name("");
        let rivals: Vec<_> = (0..8).map(|_| new_user(name.clone())).collect();
        let creations = join_all(rivals.iter().map(|new| self.store.create_user(new))).await;
        let created: Vec<_> = creations
            .into_iter()
            .filter_map(|creation| match creation.unwrap() {
                UserCreation::Created(user) => Some(user),
                UserCreation::NameTaken => None,
            })
            .collect();
        assert_eq!(created.len(), 1, "exactly one gets the name");
        let owner = self.store.credentials(&name).await.unwrap().unwrap().user;
        assert_eq!(created, std::slice::from_ref(&owner));
        for loser in rivals.iter().filter(|rival| rival.id != owner.id) {
            assert_eq!(self.store.user(loser.id).await.unwrap(), None, "whoever lost is not there");
        }
    }

    async fn users_are_listed_in_the_byte_order_of_their_names(&self) {
        let base = some_name("");
        let named = |suffix: &str| -> Username { format!("{base}{suffix}").parse().unwrap() };
        for suffix in ["-b", "-é", "-aa", "-a", "-10", "-9"] {
            self.store.create_user(&new_user(named(suffix))).await.unwrap();
        }
        let mut listed = Vec::new();
        let mut after = base.clone();
        for _ in 0..3 {
            let page = self.store.list_users(&page_after(Some(&after), 2)).await.unwrap();
            assert_eq!(page.len(), 2);
            listed.extend(page.into_iter().map(|user| user.profile.username));
            after = listed.last().unwrap().clone();
        }
        assert_eq!(listed, ["-10", "-9", "-a", "-aa", "-b", "-é"].map(named));
        assert!(self.store.list_users(&page_after(Some(&base), 0)).await.unwrap().is_empty());
        assert!(!self.store.list_users(&page_after(None, 1)).await.unwrap().is_empty());
    }

    async fn a_password_is_set_for_those_who_exist(&self) {
        let user = self.user("").await;
        assert!(self.change(&new_password(user.id, "another")).await.is_some());
        let found = self.store.credentials(&user.profile.username).await.unwrap().unwrap();
        assert_eq!((found.user, found.password_hash.as_deref()), (user, Some("another")));
        let nobodys = self.store.change_user(&new_password(some_id(), "nobody's")).await.unwrap();
        assert_eq!(nobodys, UserChangeOutcome::Unknown);
    }

    async fn a_session_begins_once_and_for_a_user(&self) {
        let user = self.user("").await;
        let step = self.begin_step(session(user.id, 1));
        assert_eq!(self.store.begin_session(&step).await.unwrap(), Begun::Begun);
        let saw = self.observe(step.session).await;
        assert_eq!((saw.seen.session, saw.seen.user), (Some(step.record), Standing::Enabled));
        assert_eq!(saw.profile, Some(user.profile));
        let again =
            BeginStep { record: SessionRecord { nonce: Nonce([9; 8]), ..step.record }, ..step.clone() };
        assert_eq!(self.store.begin_session(&again).await.unwrap(), Begun::Blocked);
        assert_eq!(self.observe(step.session).await.seen.session, Some(step.record));
        let nobodys = self.begin_step(session(some_id(), 1));
        assert_eq!(self.store.begin_session(&nobodys).await.unwrap(), Begun::Blocked);
        assert_eq!(self.observe(nobodys.session).await.seen.session, None);
    }

    async fn of_many_rotations_of_one_token_one_applies(&self) {
        let began = self.session(1).await;
        let steps: Vec<_> = (1..=8).map(|nonce| rotation(&began, nonce)).collect();
        let outcomes = join_all(steps.iter().map(|step| self.store.rotate(step))).await;
        let applied: Vec<_> = steps
            .iter()
            .zip(outcomes)
            .filter(|(_, outcome)| matches!(outcome.as_ref().unwrap(), Rotated::Applied(_)))
            .collect();
        assert_eq!(applied.len(), 1, "exactly one rotation applies");
        let (step, outcome) = applied.into_iter().next().unwrap();
        let Rotated::Applied(saw) = outcome.unwrap() else { return };
        assert_eq!(saw.seen.session, Some(began.record), "a step says what it saw before it wrote");
        let new = next(&began.record, &step.presented, &step.fresh, saw.now, &step.policy);
        assert_eq!(self.observe(began.session).await.seen.session, Some(new));
    }

    async fn a_lost_answer_is_recognised_by_its_nonce(&self) {
        let began = self.session(1).await;
        let step = rotation(&began, 3);
        assert!(matches!(self.store.rotate(&step).await.unwrap(), Rotated::Applied(_)));
        let Rotated::Blocked(saw) = self.store.rotate(&step).await.unwrap() else {
            assert_eq!("applied twice", "blocked");
            return;
        };
        assert_eq!(saw.seen.session.map(|record| record.nonce), Some(step.fresh.nonce));
    }

    async fn a_bound_session_needs_its_key(&self) {
        let user = self.user("").await;
        let mut step = self.begin_step(session(user.id, 1));
        step.record.dpop_bound = true;
        step.thumbprint = Some(Thumbprint([5; 32]));
        self.store.begin_session(&step).await.unwrap();
        let without = rotation(&step, 1);
        assert!(matches!(self.store.rotate(&without).await.unwrap(), Rotated::Blocked(_)));
        let with = RotateStep {
            presented: Presented { thumbprint: step.thumbprint, ..without.presented },
            ..without
        };
        let outcome = self.store.rotate(&with).await.unwrap();
        assert!(matches!(outcome, Rotated::Applied(saw) if saw.seen.thumbprint == step.thumbprint));
    }

    async fn a_swap_needs_the_record_as_it_was_seen(&self) {
        let began = self.session(1).await;
        let new = SessionRecord { nonce: Nonce([8; 8]), ..began.record };
        let unseen = SwapStep { session: began.session, as_seen: new, new };
        assert!(matches!(self.store.swap(&unseen).await.unwrap(), Rotated::Blocked(_)));
        assert_eq!(self.observe(began.session).await.seen.session, Some(began.record));
        let seen = SwapStep { as_seen: began.record, ..unseen };
        assert!(matches!(self.store.swap(&seen).await.unwrap(), Rotated::Applied(_)));
        assert_eq!(self.observe(began.session).await.seen.session, Some(new));
        let nowhere = SwapStep { session: session(began.session.user, 2), ..seen };
        assert!(matches!(self.store.swap(&nowhere).await.unwrap(), Rotated::Blocked(_)));
    }

    async fn an_end_is_final(&self) {
        let began = self.session(1).await;
        let scope = Scope::One(began.session.session);
        let first = EndStep {
            user: began.session.user,
            scope,
            begun_before: None,
            reason: EndReason::RevokedByAdmin,
            note: EndNote::saying("lost device, \"stolen\" ✓"),
        };
        let ended = self.store.end_sessions(&first).await.unwrap();
        assert_eq!((ended.covered, ended.ended.as_slice()), (1, [began.session.session].as_slice()));
        let second =
            EndStep { reason: EndReason::SignedOut, note: EndNote::saying("later"), ..first.clone() };
        let again = self.store.end_sessions(&second).await.unwrap();
        assert_eq!((again.covered, again.ended.len()), (1, 0));
        let nobodys = EndStep { scope: Scope::One(SessionId::from_bytes([7; 16])), ..first.clone() };
        assert_eq!(self.store.end_sessions(&nobodys).await.unwrap().covered, 0);
        let kept = self.store.sessions_of(began.session.user).await.unwrap().sessions;
        assert_eq!(kept.len(), 1);
        for session in kept {
            assert_eq!(session.record, began.record.end(first.reason, ended.now));
            assert_eq!(session.note, first.note);
        }
        assert!(matches!(self.store.rotate(&rotation(&began, 1)).await.unwrap(), Rotated::Blocked(_)));
    }

    async fn an_end_gets_past_rotations_under_way(&self) {
        let began = self.session(1).await;
        let steps: Vec<_> = (1..=4).map(|nonce| rotation(&began, nonce)).collect();
        let end = EndStep {
            user: began.session.user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::PasswordChanged,
            note: EndNote::default(),
        };
        let rotations = join_all(steps.iter().map(|step| self.store.rotate(step)));
        let (_, ended) = join(rotations, self.store.end_sessions(&end)).await;
        assert_eq!(ended.unwrap().ended, [began.session.session]);
        let left = self.observe(began.session).await.seen.session.unwrap();
        assert_eq!(left.ended.map(|ended| ended.reason), Some(end.reason));
    }

    async fn a_sign_in_makes_room_or_leaves_all_as_it_was(&self) {
        let began = self.session(1).await;
        let tombstone = began.record.end(EndReason::Replaced, self.clock.now());
        let stale = SessionRecord { nonce: Nonce([9; 8]), ..began.record };
        let change = |as_seen| (began.session.session, as_seen, Change::Replace(tombstone));
        let mut step = self.begin_step(session(began.session.user, 2));
        step.changes = vec![change(stale)];
        assert_eq!(self.store.begin_session(&step).await.unwrap(), Begun::Blocked);
        assert_eq!(self.observe(step.session).await.seen.session, None);
        assert_eq!(self.observe(began.session).await.seen.session, Some(began.record));
        step.changes = vec![change(began.record)];
        assert_eq!(self.store.begin_session(&step).await.unwrap(), Begun::Begun);
        assert_eq!(self.observe(step.session).await.seen.session, Some(step.record));
        assert_eq!(self.observe(began.session).await.seen.session, Some(tombstone));
    }

    async fn a_session_begins_among_so_many_and_no_more(&self) {
        let began = self.session(1).await;
        let user = began.session.user;
        let mut second = self.begin_step(session(user, 2));
        second.max_found = 0;
        assert_eq!(self.store.begin_session(&second).await.unwrap(), Begun::Blocked);
        assert_eq!(self.observe(second.session).await.seen.session, None);
        second.max_found = 1;
        assert_eq!(self.store.begin_session(&second).await.unwrap(), Begun::Begun);
        // Counted before the changes, and ended ones too.
        let end = EndStep {
            user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::default(),
        };
        let now = self.store.end_sessions(&end).await.unwrap().now;
        let mut third = self.begin_step(session(user, 3));
        third.changes = vec![(began.session.session, began.record.end(end.reason, now), Change::Forget)];
        third.max_found = 1;
        assert_eq!(self.store.begin_session(&third).await.unwrap(), Begun::Blocked);
        third.max_found = 2;
        assert_eq!(self.store.begin_session(&third).await.unwrap(), Begun::Begun);
    }

    async fn a_marker_is_left_once(&self) {
        let marker = |name: &str| Marker {
            store_id: format!("{name}-{}", some_name("")),
            issuer: "https://id.example.org".to_owned(),
            master_key_check: "check \"é\"".to_owned(),
        };
        assert_eq!(self.store.marker().await.unwrap(), None);
        let left = self.store.identify(&marker("first")).await.unwrap().unwrap();
        assert_eq!(self.store.identify(&marker("second")).await.unwrap().as_ref(), Some(&left));
        assert_eq!(self.store.marker().await.unwrap(), Some(left));
    }

    async fn user(&self, suffix: &str) -> User {
        let creation = self.store.create_user(&new_user(some_name(suffix))).await.unwrap();
        let created = match creation {
            UserCreation::Created(user) => Some(user),
            UserCreation::NameTaken => None,
        };
        created.unwrap()
    }

    /// A session that has begun, of a new user.
    async fn session(&self, number: u8) -> BeginStep {
        let step = self.begin_step(session(self.user("").await.id, number));
        assert_eq!(self.store.begin_session(&step).await.unwrap(), Begun::Begun);
        step
    }

    async fn observe(&self, session: SessionRef) -> Observation {
        self.store.observe(session).await.unwrap()
    }

    async fn change(&self, change: &UserChange) -> Option<UserChanged> {
        self.store.change_user(change).await.unwrap().changed()
    }

    fn begin_step(&self, session: SessionRef) -> BeginStep {
        let details = SessionDetails {
            device_name: Some("Ada's \"phone\" é".to_owned()),
            user_agent: None,
            address: Some("2001:db8::1".to_owned()),
        };
        // In the past, so that a rotation can be told from the sign-in.
        let record = live_record(self.clock.now().seconds().minus(Duration::from_mins(1)));
        BeginStep {
            session,
            record,
            details,
            thumbprint: None,
            changes: Vec::new(),
            max_found: usize::MAX,
            checked_hash: None,
            operation: None,
        }
    }
}

/// The current token of a session that has just begun, presented by its owner.
fn rotation(began: &BeginStep, nonce: u8) -> RotateStep {
    let BeginStep { session, record, .. } = began;
    let presented = Presented {
        session: *session,
        generation: record.generation,
        nonce: record.nonce,
        issued_at: record.rotated_at.seconds(),
        attempt: None,
        client: record.client,
        delivery: record.delivery,
        thumbprint: None,
    };
    let fresh = Fresh { nonce: Nonce([nonce; 8]), mac_key: MacKeyId(1), origin: OriginTag(3) };
    RotateStep { presented, fresh, policy: RotationPolicy::default() }
}

fn session(user: UserId, number: u8) -> SessionRef {
    SessionRef { user, session: SessionId::from_bytes([number; 16]) }
}

fn some_id() -> UserId {
    UserId::from_bytes(Random.bytes().unwrap())
}

fn some_name(suffix: &str) -> Username {
    format!("e{:016x}{suffix}", u64::from_be_bytes(Random.bytes().unwrap())).parse().unwrap()
}

fn new_user(username: Username) -> NewUser {
    let roles =
        Roles::try_from([Role::USER.parse().unwrap()].into_iter().collect::<std::collections::BTreeSet<_>>());
    NewUser {
        id: some_id(),
        username,
        roles: roles.unwrap(),
        attributes: Attributes::default(),
        disabled: false,
        password_hash: Some("hash".to_owned()),
        operation: None,
    }
}

fn new_password(user: UserId, hash: &str) -> UserChange {
    UserChange { password_hash: Some(hash.to_owned()), ..UserChange::of(user) }
}

fn page_after(after: Option<&Username>, limit: usize) -> UserQuery {
    UserQuery { after: after.cloned(), limit, ..UserQuery::default() }
}
