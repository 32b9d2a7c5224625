//! What the clients do: one request a step.

use std::net::SocketAddr;

use super::response::Response;
use super::session::Session;

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Refresh.
    Refresh,
    /// Check an access token, as a proxy does that asks before it passes a request on: `GET /auth/check`.
    Check,
    /// Sign in; where there are as many sessions as a user may have, the oldest ends by it.
    SignIn,
    /// Sign out, each session once: see that there are enough of them.
    Revoke,
    /// Of twenty steps one sign-in, five refreshes, and otherwise checks.
    Mixed,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Refresh,
    Check,
    SignIn,
    SignOut,
}

/// What became of the session by a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    GoesOn,
    /// It is over, as it should be.
    Over,
    /// The answer was not what it should have been.
    Failed,
}

impl Scenario {
    /// The step that is taken as the `number`th.
    pub(super) const fn step(self, number: u32) -> Step {
        match self {
            Self::Refresh => Step::Refresh,
            Self::Check => Step::Check,
            Self::SignIn => Step::SignIn,
            Self::Revoke => Step::SignOut,
            Self::Mixed => match number % 20 {
                0 => Step::SignIn,
                1 | 5 | 9 | 13 | 17 => Step::Refresh,
                _ => Step::Check,
            },
        }
    }
}

impl Step {
    pub(super) fn request(
        self,
        session: &Session,
        host: SocketAddr,
        password: &str,
        attempt: Option<&str>,
    ) -> String {
        match self {
            Self::Refresh => session.refresh_request(host, attempt),
            Self::Check => session.check_request(host),
            Self::SignIn => Session::sign_in_request(host, session.username(), password),
            Self::SignOut => session.sign_out_request(host),
        }
    }

    pub(super) fn outcome(self, session: &mut Session, response: &Response) -> Outcome {
        let succeeded = match self {
            Self::Refresh | Self::SignIn => session.take(response),
            Self::Check => matches!(response.status, 200 | 204),
            Self::SignOut => response.status == 204,
        };
        match (succeeded, self) {
            (false, _) => Outcome::Failed,
            (true, Self::SignOut) => Outcome::Over,
            (true, _) => Outcome::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::session::tests::{response, session};

    #[test]
    fn a_mixed_load_is_mostly_checks() {
        let steps: Vec<_> = (0..20).map(|number| Scenario::Mixed.step(number)).collect();
        let count = |wanted| steps.iter().filter(|step| **step == wanted).count();
        assert_eq!((count(Step::SignIn), count(Step::Refresh), count(Step::Check)), (1, 5, 14));
    }

    #[test]
    fn each_step_knows_its_answer() {
        let pair = r#"{"access_token":"b","refresh_token":"s"}"#;
        for (step, status, body, expected) in [
            (Step::Refresh, 200, pair, Outcome::GoesOn),
            (Step::SignIn, 200, pair, Outcome::GoesOn),
            (Step::Refresh, 204, "", Outcome::Failed),
            (Step::Check, 204, "", Outcome::GoesOn),
            (Step::Check, 401, "", Outcome::Failed),
            (Step::SignOut, 204, "", Outcome::Over),
            (Step::SignOut, 503, "", Outcome::Failed),
        ] {
            assert_eq!(step.outcome(&mut session(), &response(status, body)), expected, "{step:?}");
        }
    }
}
