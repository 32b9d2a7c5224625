//! What stands beside a session goes with it.

use relatch::store::{BeginStep, Begun, EndNote, EndStep, HISTORY_KEEPS, SessionDetails};
use relatch_domain::ids::Thumbprint;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::sign_in::Change;

use super::{Stage, session};

impl Stage {
    pub(super) async fn a_forgotten_session_leaves_nothing_behind(&self) {
        let user = self.user("").await;
        let mut old = self.begin_step(session(user.id, 1));
        old.record.dpop_bound = true;
        old.thumbprint = Some(Thumbprint([5; 32]));
        self.store.begin_session(&old).await.unwrap();
        let note = EndNote::saying("why");
        let end = EndStep {
            user: user.id,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note,
        };
        let now = self.store.end_sessions(&end).await.unwrap().now;
        let tombstone = old.record.end(end.reason, now);
        let mut other = self.begin_step(session(user.id, 2));
        other.changes = vec![(old.session.session, tombstone, Change::Forget)];
        self.store.append_history(old.session, "of the old one").await.unwrap();
        assert_eq!(self.store.begin_session(&other).await.unwrap(), Begun::Begun);
        assert_eq!(self.observe(old.session).await.seen.session, None);
        let new = BeginStep { thumbprint: None, details: SessionDetails::default(), ..old.clone() };
        assert_eq!(self.store.begin_session(&new).await.unwrap(), Begun::Begun);
        assert_eq!(self.observe(old.session).await.seen.thumbprint, None);
        let sessions = self.store.sessions_of(user.id).await.unwrap().sessions;
        let of_old: Vec<_> = sessions.iter().filter(|session| session.id == old.session.session).collect();
        assert_eq!(of_old.len(), 1);
        for session in of_old {
            assert_eq!((&session.details, &session.note), (&new.details, &EndNote::default()));
            assert!(session.history.is_empty());
        }
    }

    pub(super) async fn a_history_keeps_its_latest_lines_and_goes_with_the_session(&self) {
        let began = self.session(1).await;
        let history = async || {
            let sessions = self.store.sessions_of(began.session.user).await.unwrap().sessions;
            let found = sessions.into_iter().find(|stored| stored.id == began.session.session);
            found.map(|stored| stored.history)
        };
        assert_eq!(history().await, Some(Vec::new()));
        let lines: Vec<_> = (0..HISTORY_KEEPS + 3).map(|at| format!("{{\"line\": \"{at} é\"}}")).collect();
        for (at, line) in lines.iter().enumerate() {
            self.store.append_history(began.session, line).await.unwrap();
            let first = (at + 1).saturating_sub(HISTORY_KEEPS);
            assert_eq!(history().await.as_deref(), Some(&lines[first..=at]));
        }
        let missing = session(began.session.user, 77);
        self.store.append_history(missing, "nothing").await.unwrap();
        let step = EndStep {
            user: began.session.user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::default(),
        };
        self.store.end_sessions(&step).await.unwrap();
        assert_eq!(history().await.unwrap().len(), HISTORY_KEEPS, "an end has one too");
        self.store.delete_user(began.session.user, None).await.unwrap();
        self.store.append_history(began.session, "nothing").await.unwrap();
        assert_eq!(history().await, None);
    }
}
