//! What runs: a call, a repetition of it, a client that refreshes, and resolvers.

/// Where a process stands: the step that it takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Not begun; a resolver that has nothing to do.
    Idle,
    /// Reuse: the record that the presented token is judged by.
    Read,
    Open,
    /// The flaw [`super::protocol::Flaw::AuditApart`].
    AuditApart,
    OpenWait,
    Apply,
    ApplyWait,
    Record,
    RecordWait,
    /// The question whether a shard has failed over.
    Ask,
    Close,
    /// A refresh.
    Look,
    RevealWait,
    RevealRecord,
    RevealClose,
    RevealRecordWait,
    /// Resolving an unconditional end.
    Confirm,
    ConfirmWait,
    Bury,
    BuryWait,
    ResolverClose,
    /// Resolving a conditional one.
    Inspect,
    InspectWait,
    Resolve,
    /// Answered, or gone.
    Done,
}

/// Which shard a step talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Journal,
    User,
}

impl Step {
    pub(crate) const fn on(self) -> Option<On> {
        match self {
            Self::Open
            | Self::AuditApart
            | Self::OpenWait
            | Self::Record
            | Self::RecordWait
            | Self::Close
            | Self::RevealRecord
            | Self::RevealClose
            | Self::RevealRecordWait
            | Self::Confirm
            | Self::ConfirmWait
            | Self::ResolverClose
            | Self::Resolve => Some(On::Journal),
            Self::Read
            | Self::Apply
            | Self::ApplyWait
            | Self::Look
            | Self::RevealWait
            | Self::Bury
            | Self::BuryWait
            | Self::Inspect
            | Self::InspectWait => Some(On::User),
            Self::Idle | Self::Ask | Self::Done => None,
        }
    }

    pub(crate) const fn is_wait(self) -> bool {
        matches!(
            self,
            Self::OpenWait
                | Self::ApplyWait
                | Self::RecordWait
                | Self::RevealWait
                | Self::RevealRecordWait
                | Self::ConfirmWait
                | Self::BuryWait
                | Self::InspectWait
        )
    }
}

/// What the client is going to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// 2xx: the end was made.
    Success,
    /// Anything else from which an end can be seen: 401 revoked, 404 of a deleted user, 403, 409.
    Revealing,
    /// Nothing about an end.
    Plain,
}

/// What a script on the user's shard said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Applied,
    /// It was so before.
    Already,
    Blocked,
    /// A resolver has fenced the operation off.
    Fenced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) step: Step,
    pub(crate) node: u8,
    /// The operation that it makes or resolves; a refresh: the session.
    pub(crate) about: u16,
    /// What the user's shard said is dead, and was applied.
    pub(crate) dead: u16,
    pub(crate) applied: u16,
    pub(crate) verdict: Verdict,
    pub(crate) answer: Answer,
    /// Entries that this process added and has to audit yet.
    pub(crate) unaudited: u16,
    /// Whether the connection has written what a `WAIT` can wait for.
    pub(crate) wrote: bool,
    /// Whether a shard failed over since the beginning.
    pub(crate) failed_over: bool,
    /// A call that was given up, and runs yet.
    pub(crate) late: Option<Step>,
}

impl Process {
    pub(crate) const fn idle(about: u16) -> Self {
        Self {
            step: Step::Idle,
            node: 0,
            about,
            dead: 0,
            applied: 0,
            verdict: Verdict::Applied,
            answer: Answer::Success,
            unaudited: 0,
            wrote: false,
            failed_over: false,
            late: None,
        }
    }

    /// All of it in one word.
    pub(crate) fn word(&self) -> u64 {
        let small = [
            self.step as u16,
            self.late.map_or(0, |step| 1 + step as u16),
            u16::from(self.node),
            self.about,
            self.dead,
            self.applied,
            self.verdict as u16,
            self.answer as u16,
            self.unaudited,
            u16::from(self.wrote) << 1 | u16::from(self.failed_over),
        ];
        small.iter().fold(0, |word, part| word << 6 | u64::from(*part))
    }

    pub(crate) const fn runs(&self) -> bool {
        !matches!(self.step, Step::Idle | Step::Done)
    }
}
