//! What stands beside a session goes with it.

use std::collections::BTreeMap;

use relatch::store::histories::{later_half, to_shorten, with_line};
use relatch::store::{
    BeginStep, Begun, EndNote, EndStep, HISTORY_BYTES, HISTORY_KEEPS, HISTORY_LINE, SessionDetails,
    StoredSession, WholeSession, WholeUser,
};
use relatch_domain::ids::Thumbprint;
use relatch_domain::revocation::Scope;
use relatch_domain::session::EndReason;
use relatch_domain::sign_in::Change;
use relatch_domain::{SessionId, SessionRef};

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
        assert_eq!(self.store.histories(user.id).await.unwrap(), BTreeMap::new());
        for session in of_old {
            assert_eq!((&session.details, &session.note), (&new.details, &EndNote::default()));
        }
    }

    pub(super) async fn a_history_keeps_its_latest_lines_and_goes_with_the_session(&self) {
        let began = self.session(1).await;
        let history = async || {
            let history = self.store.history(began.session).await.unwrap();
            let all = self.store.histories(began.session.user).await.unwrap();
            let expected = [(began.session.session, history.clone())].into_iter();
            assert_eq!(all, expected.filter(|(_, history)| !history.is_empty()).collect());
            history
        };
        assert_eq!(history().await, Vec::<String>::new());
        let lines: Vec<_> = (0..HISTORY_KEEPS + 3).map(|at| format!("{{\"line\": \"{at} é\"}}")).collect();
        for (at, line) in lines.iter().enumerate() {
            self.store.append_history(began.session, line).await.unwrap();
            let first = (at + 1).saturating_sub(HISTORY_KEEPS);
            assert_eq!(history().await, lines[first..=at]);
        }
        let missing = session(began.session.user, 77);
        self.store.append_history(missing, "nothing").await.unwrap();
        for none in ["", "two\nlines", &"x".repeat(HISTORY_LINE + 1)] {
            self.store.append_history(began.session, none).await.unwrap();
        }
        assert_eq!(history().await.last(), lines.last());
        let step = EndStep {
            user: began.session.user,
            scope: Scope::All,
            begun_before: None,
            reason: EndReason::SignedOut,
            note: EndNote::default(),
        };
        self.store.end_sessions(&step).await.unwrap();
        assert_eq!(history().await.len(), HISTORY_KEEPS, "an end has one too");
        self.store.delete_user(began.session.user, None).await.unwrap();
        self.store.append_history(began.session, "nothing").await.unwrap();
        assert_eq!(history().await, Vec::<String>::new());
    }

    pub(super) async fn histories_of_a_user_have_a_limit_and_the_longest_give_way(&self) {
        let user = self.user("").await;
        let sessions: Vec<_> = SESSIONS.iter().map(|number| session(user.id, *number)).collect();
        for session in &sessions {
            self.store.begin_session(&self.begin_step(*session)).await.unwrap();
        }
        let [quiet, noisy @ ..] = &sessions[..] else { unreachable!() };
        let mut expected = Expected::default();
        self.append(&mut expected, *quiet, "quiet").await;
        let mut shortened = false;
        // In turn, so that several are the longest; then anyhow.
        for round in 0..480_usize {
            let anyhow = round.wrapping_mul(7919) >> 3;
            let at = if round < 240 { round } else { anyhow } % noisy.len();
            let length = if round < 240 { HISTORY_LINE } else { [HISTORY_LINE, 700, 37][anyhow % 3] };
            let before = expected.bytes();
            self.append(&mut expected, noisy[at], &format!("{round:0length$}")).await;
            shortened |= expected.bytes() < before;
            assert!(expected.bytes() <= HISTORY_BYTES);
            // Comparing each time would take long in the larger stores.
            if round > 190 && round % 8 == 0 {
                assert_eq!(self.store.histories(user.id).await.unwrap(), expected.lines(), "round {round}");
            }
        }
        let kept = self.store.histories(user.id).await.unwrap();
        assert_eq!(kept, expected.lines());
        assert_eq!(kept[&quiet.session], ["quiet"], "others have not pushed it out");
        assert!(shortened && expected.bytes() > HISTORY_BYTES / 2, "{}", expected.bytes());
    }

    pub(super) async fn a_user_is_placed_with_all_that_was_kept(&self) {
        let began = self.session(1).await;
        let user = began.session.user;
        for line in ["one", "two"] {
            self.store.append_history(began.session, line).await.unwrap();
        }
        let name = self.store.user(user).await.unwrap().unwrap().profile.username;
        let credentials = self.store.credentials(&name).await.unwrap().unwrap();
        let (kept, histories) =
            (self.store.sessions_of(user).await.unwrap(), self.store.histories(user).await.unwrap());
        let whole = |stored: &StoredSession| WholeSession {
            stored: stored.clone(),
            history: histories[&stored.id].clone(),
            thumbprint: None,
        };
        let sessions = kept.sessions.iter().map(whole).collect();
        // What has come since goes.
        self.store.begin_session(&self.begin_step(session(user, 2))).await.unwrap();
        self.store.append_history(session(user, 2), "of another").await.unwrap();
        self.store.place_user(&WholeUser { credentials, sessions }).await.unwrap();
        assert_eq!(self.store.sessions_of(user).await.unwrap().sessions, kept.sessions);
        assert_eq!(self.store.histories(user).await.unwrap(), histories);
        self.store.append_history(began.session, "three").await.unwrap();
        assert_eq!(self.store.history(began.session).await.unwrap(), ["one", "two", "three"]);
    }

    async fn append(&self, expected: &mut Expected, session: SessionRef, line: &str) {
        self.store.append_history(session, line).await.unwrap();
        expected.append(session.session, line);
    }
}

/// Sessions by number, whose bytes have another order than they have as signed numbers or letters.
const SESSIONS: [u8; 9] = [100, 3, 0xe4, 0x80, 0x61, 0x42, 0xff, 0x5f, 7];

/// The rule, on the histories of one user.
#[derive(Default)]
struct Expected(BTreeMap<SessionId, String>);

impl Expected {
    fn append(&mut self, session: SessionId, line: &str) {
        let history = self.0.entry(session).or_default();
        *history = with_line(history, line);
        while let Some(longest) = to_shorten(self.0.iter().map(|(id, history)| (*id, history.len()))) {
            let half = later_half(&self.0[&longest]).to_owned();
            self.0.insert(longest, half);
        }
    }

    fn bytes(&self) -> usize {
        self.0.values().map(String::len).sum()
    }

    fn lines(&self) -> BTreeMap<SessionId, Vec<String>> {
        let lines =
            |(id, history): (&SessionId, &String)| (*id, history.lines().map(str::to_owned).collect());
        self.0.iter().filter(|(_, history)| !history.is_empty()).map(lines).collect()
    }
}
