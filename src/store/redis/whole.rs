//! All of one user, written at once: for a copy of another store.

use relatch_domain::record;

use super::Handle;
use super::failure::Effect;
use super::request::{Request, Script, script};
use super::users::json;
use crate::store::{Credentials, StoreError, WholeSession, WholeUser};

static PLACE: Script = script!("place_user", Effect::Writes);

impl Handle {
    /// The user before the name and the list: a name whose user is not there is free.
    pub(super) async fn place(&self, whole: &WholeUser) -> Result<(), StoreError> {
        let user = &whole.credentials.user;
        let last = whole.sessions.iter().map(|session| session.stored.record.absolute_deadline.0).max();
        let request =
            self.on_all_of_user(&PLACE, user.id).arg(last.unwrap_or_default()).arg(self.time.argument());
        let request = all(request.arg(fields_of(&whole.credentials)?.len()), fields_of(&whole.credentials)?);
        let request = whole.sessions.iter().fold(request.arg(whole.sessions.len()), |request, session| {
            request.arg(session.stored.id.as_bytes()).arg(&record::encode(&session.stored.record))
        });
        let details = whole.sessions.iter().map(details_of).collect::<Result<Vec<_>, _>>()?.concat();
        let request = all(request.arg(details.len()), details);
        self.router.ask(&all(request, whole.sessions.iter().filter_map(history_of))).await?;
        let name = &user.profile.username;
        self.enlist(name, user.id).await?;
        let claim = Request::write("SET", &self.keyspace.name(name)).arg(user.id.to_string());
        self.router.ask(&claim).await?;
        self.hold_skeleton(name, user.id).await.map(drop)
    }
}

type Field = (Vec<u8>, Vec<u8>);

fn all(request: Request, fields: impl IntoIterator<Item = Field>) -> Request {
    fields.into_iter().fold(request, |request, (field, value)| request.arg(field).arg(value))
}

fn fields_of(credentials: &Credentials) -> Result<Vec<Field>, StoreError> {
    let Credentials { user, password_hash, password_changes } = credentials;
    let field = |name: &str, value: Vec<u8>| (name.as_bytes().to_vec(), value);
    let mut fields = vec![
        field("name", user.profile.username.as_str().as_bytes().to_vec()),
        field("roles", json(&user.profile.roles)?),
        field("disabled", u8::from(user.disabled).to_string().into_bytes()),
        field("created", user.created_at.0.to_string().into_bytes()),
    ];
    if !user.profile.attributes.is_empty() {
        fields.push(field("attributes", json(&user.profile.attributes)?));
    }
    if *password_changes > 0 {
        fields.push(field("password_changes", password_changes.to_string().into_bytes()));
    }
    fields.extend(password_hash.as_ref().map(|hash| field("password", hash.clone().into_bytes())));
    Ok(fields)
}

fn details_of(session: &WholeSession) -> Result<Vec<Field>, StoreError> {
    let WholeSession { stored, thumbprint, .. } = session;
    let field = |letter: u8, value: Vec<u8>| ([&[letter], stored.id.as_bytes().as_slice()].concat(), value);
    let mut fields = vec![field(b'd', json(&stored.details)?)];
    fields.extend(thumbprint.as_ref().map(|thumbprint| field(b't', thumbprint.0.to_vec())));
    if !stored.note.is_empty() {
        fields.push(field(b'n', json(&stored.note)?));
    }
    Ok(fields)
}

fn history_of(WholeSession { stored, history, .. }: &WholeSession) -> Option<Field> {
    (!history.is_empty()).then(|| (stored.id.as_bytes().to_vec(), history.join("\n").into_bytes()))
}
