//! Users who come, change and go.

use relatch::store::{
    Credentials, NewUser, UserAsSeen, UserChange, UserChangeOutcome, UserChanged, UserCreation, UserQuery,
};
use relatch_domain::attributes::Attributes;
use relatch_domain::user::{Role, Roles, User};

use super::{Case, sorted};
use crate::conformance::command::{At, Edit, Ending};
use crate::conformance::pair::Divergence;

/// What the attributes of a case's users may be.
const ATTRIBUTES: [&str; 4] =
    ["{}", r#"{"tenant":"acme"}"#, r#"{"level":-3,"of":["a","\"é\""]}"#, r#"{"vip":true}"#];

impl Case {
    pub(super) async fn create_user(&mut self, user: u8, name: u8) -> Result<(), Divergence> {
        if self.created.contains(&self.user(user)) {
            let fresh = self.fresh_user();
            self.users.iter_mut().skip(user.into()).take(1).for_each(|slot| *slot = fresh);
            self.histories.retain(|at, _| at.user != user);
        }
        let Some(username) = self.name(name) else { return Ok(()) };
        let new = NewUser {
            id: self.user(user),
            username,
            roles: roles(name),
            attributes: attributes(name),
            disabled: name % 4 == 3,
            password_hash: name.is_multiple_of(2).then(|| "hash".to_owned()),
            operation: None,
        };
        let creation = self.pair.ask(&new, async |store| store.create_user(&new).await).await?;
        if matches!(creation, UserCreation::Created(_)) {
            if self.freed.contains(&new.username) {
                self.coverage.happened("name_given_again");
            }
            self.created.push(new.id);
        }
        Ok(())
    }

    pub(super) async fn change_user(
        &mut self,
        at: At,
        edit: Edit,
        ending: Option<Ending>,
    ) -> Result<(), Divergence> {
        let end = ending.map(|ending| self.ending(at, ending));
        let change = UserChange {
            user: self.user(at.user),
            roles: edit.roles.map(roles),
            disabled: edit.disabled,
            attributes: edit.attributes.map(attributes),
            password_hash: edit.password.map(|number| format!("hash {number}")),
            is_rehash: edit.is_rehash,
            end: end.clone(),
            as_seen: UserAsSeen {
                attributes: edit.seen_attributes.map(attributes),
                password_hash: self.seen_password(at.user, edit.seen_password).await?,
            },
            operation: edit.roles.is_some().then(|| self.fresh_operation()),
        };
        let changed = match self.change(&change).await? {
            UserChangeOutcome::Changed(changed) => changed,
            UserChangeOutcome::Blocked => {
                self.coverage.happened("change_blocked");
                return self.find_user(at.user).await.map(drop);
            }
            UserChangeOutcome::Unknown => {
                self.coverage.happened("nobody_changed");
                return Ok(());
            }
        };
        self.coverage.happened("user_changed");
        if change.changes_password() {
            self.coverage.happened("password_changed");
        } else if change.password_hash.is_some() {
            self.coverage.happened("password_rehashed");
        }
        if let Some((scope, ..)) = end {
            self.note_ended(scope, None, &changed.ended);
            if !changed.ended.ended.is_empty() {
                self.coverage.happened("ended_by_change");
            }
        }
        self.find_user(at.user).await.map(drop)
    }

    async fn change(&self, change: &UserChange) -> Result<UserChangeOutcome, Divergence> {
        let alike = |outcome: UserChangeOutcome| match outcome {
            UserChangeOutcome::Changed(changed) => {
                UserChangeOutcome::Changed(UserChanged { ended: sorted(changed.ended), ..changed })
            }
            other => other,
        };
        self.pair.ask_alike(change, async |store| store.change_user(change).await, alike).await
    }

    /// The password's hash as it is, or one that it is not.
    async fn seen_password(&self, user: u8, right: Option<bool>) -> Result<Option<String>, Divergence> {
        match right {
            None => Ok(None),
            Some(false) => Ok(Some("never anybody's".to_owned())),
            Some(true) => Ok(self.find_user(user).await?.and_then(|found| found.password_hash)),
        }
    }

    /// A user gets a password that nobody has had.
    pub(super) async fn change_password(&mut self, user: u8) -> Result<(), Divergence> {
        let password_hash = Some(format!("new hash {}", self.fresh()));
        let change = UserChange { password_hash, ..UserChange::of(self.user(user)) };
        if let UserChangeOutcome::Changed(_) = self.change(&change).await? {
            self.coverage.happened("sign_in_overtaken");
        }
        Ok(())
    }

    pub(super) async fn delete_user(&mut self, user: u8) -> Result<(), Divergence> {
        let id = self.user(user);
        let deleted = self.pair.ask(("delete", id), async |store| store.delete_user(id, None).await).await?;
        if let Some(deleted) = deleted {
            self.coverage.happened("user_deleted");
            self.freed.push(deleted.user.profile.username);
        }
        Ok(())
    }

    pub(super) async fn find_users(
        &self,
        user: u8,
        name: u8,
        prefix: u8,
        after: Option<u8>,
        limit: usize,
    ) -> Result<(), Divergence> {
        self.find_user(user).await?;
        if let Some(name) = self.name(name) {
            self.pair.ask(&name, async |store| store.credentials(&name).await).await?;
        }
        let after = after.and_then(|name| self.name(name));
        // Names of other cases stand before and after ours.
        let ours = self.prefix();
        let suffix = ["", "-", "-a", "-é"].get(usize::from(prefix)).copied().unwrap_or_default();
        let query = UserQuery { prefix: Some(format!("{ours}{suffix}")), after: after.clone(), limit };
        self.pair.ask(&query, async |store| store.list_users(&query).await).await?;
        let query = UserQuery { prefix: None, after: after.or(ours.parse().ok()), limit };
        let only_ours = |mut users: Vec<User>| {
            users.retain(|user| user.profile.username.as_str().starts_with(&ours));
            users
        };
        self.pair.ask_alike(&query, async |store| store.list_users(&query).await, only_ours).await.map(drop)
    }

    /// A user, by id and by name.
    pub(super) async fn find_user(&self, user: u8) -> Result<Option<Credentials>, Divergence> {
        let id = self.user(user);
        let found = self.pair.ask(("user", id), async |store| store.user(id).await).await?;
        let Some(name) = found.map(|user| user.profile.username) else { return Ok(None) };
        self.pair.ask(&name, async |store| store.credentials(&name).await).await
    }
}

fn roles(number: u8) -> Roles {
    let named = [(1, "billing:read"), (2, Role::ADMIN), (4, Role::USER)];
    let has = |(bit, name): (u8, &str)| (number & bit != 0).then(|| name.parse().ok()).flatten();
    let roles: std::collections::BTreeSet<Role> = named.into_iter().filter_map(has).collect();
    Roles::try_from(roles).unwrap_or_default()
}

fn attributes(number: u8) -> Attributes {
    let json = ATTRIBUTES.get(usize::from(number)).copied().unwrap_or_default();
    serde_json::from_str(json).unwrap_or_default()
}
