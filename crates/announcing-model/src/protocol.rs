//! Which operation is played, and what the protocol does otherwise than it should.

/// The operations that end sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    SignOut,
    RevokeSession,
    RevokeUser,
    Reuse,
    PasswordChange,
    Disable,
    /// Its subject is the user as a whole, played by the first session.
    Delete,
    /// A sign-in that makes room by ending a session.
    SignIn,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::SignOut,
        Self::RevokeSession,
        Self::RevokeUser,
        Self::Reuse,
        Self::PasswordChange,
        Self::Disable,
        Self::Delete,
        Self::SignIn,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SignOut => "sign-out",
            Self::RevokeSession => "revoke a session",
            Self::RevokeUser => "revoke a user's sessions",
            Self::Reuse => "reuse of a refresh token",
            Self::PasswordChange => "password change",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::SignIn => "sign-in that replaces",
        }
    }

    /// Whether the end depends on a condition that only the user's shard can decide.
    pub(crate) const fn is_conditional(self) -> bool {
        matches!(self, Self::PasswordChange | Self::Disable | Self::Delete | Self::SignIn)
    }

    /// The sessions that it ends, one bit each. What is not in it must never end.
    pub(crate) const fn scope(self) -> u16 {
        match self {
            Self::RevokeUser | Self::Disable => 0b11,
            _ => 0b01,
        }
    }
}

/// Ways to get the protocol wrong. The search found the first eight in drafts of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// What is announced again after a failover of the journal comes without its audit record.
    AnnouncesAgainWithoutAudit,
    /// What is announced again opens no operation, so that nobody sees to its tombstone.
    AnnouncesAgainWithoutAnOperation,
    /// A resolver takes an entry of the journal for durable.
    ResolverDoesNotWaitForTheJournal,
    /// A resolver writes the entry again, but not the operation, which may have been lost with it.
    ResolverAnnouncesWithoutAnOperation,
    /// A node takes what it reads in the log for durable. Chosen, or hearing would need a replica.
    HearsWhatMayBeLost,
    /// A resolver, and an answer that reveals, take what the user's shard says for durable.
    ReaderDoesNotWaitForTheUser,
    /// A resolver closes what was not applied once its maker has answered or is gone, and fences nothing.
    ClosesWhenTheMakerIsGone,
    /// After a failover of the user's shard, tombstones are written for entries that may be lost yet.
    TombstonesBeforeTheirEntryIsDurable,
    /// The entry of a conditional change stands before its condition is known.
    AnnouncesBeforeTheCondition,
    /// The maker does not wait for the journal's replica.
    DoesNotWaitForTheJournal,
    /// The maker does not wait for the replica of the user's shard.
    DoesNotWaitForTheUser,
    /// After a failover of the journal only the maker of an entry announces it again.
    OnlyTheMakerAnnouncesAgain,
    /// Nobody announces again.
    NobodyAnnouncesAgain,
    /// An answer that reveals an end leaves before its entry is in the log.
    RevealsBeforeTheEntry,
    /// An answer that reveals does not wait for the journal if the node remembers what it reveals.
    TrustsMemoryWhenItReveals,
    /// What is announced is what died just now, not everything in scope that is dead.
    CountsWhatDiedJustNow,
    /// Tombstone, then entry, and no operation.
    TombstoneFirst,
    /// A resolver closes what is not applied at once, and fences nothing.
    ResolverClosesTooEarly,
    /// The maker never closes a conditional operation.
    ForgetsToClose,
    /// The audit record is another write than the entry.
    AuditApart,
    /// A record that changes nothing writes nothing, so that there is nothing to wait for.
    WaitsWithoutAWrite,
    /// A second entry for a subject is added.
    AddsASecondEntry,
    /// The user's record keeps the id of the last change only.
    KeepsTheLastIdOnly,
    /// The change is audited even if somebody else has closed the operation.
    AuditsWhatOthersClosed,
    /// A maker does not ask whether a shard failed over meanwhile.
    DoesNotAsk,
    /// After a failover of the user's shard nobody writes tombstones again.
    NobodyWritesTombstonesAgain,
    /// A resolver closes an unconditional end before its tombstone is durable.
    ResolverDoesNotWaitForTheTombstone,
    /// Nothing that was left open is resolved.
    NobodyResolves,
    /// An operation's beginning is not waited for.
    OpensWithoutWaiting,
}

/// The protocol, with or without flaws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protocol {
    flaws: u32,
}

impl Protocol {
    /// Without any flaw, even the one that was chosen.
    pub(crate) const STRICT: Self = Self { flaws: 0 };
    pub(crate) const TRUE: Self = Self::STRICT.with(Flaw::HearsWhatMayBeLost);

    pub(crate) const fn with(self, flaw: Flaw) -> Self {
        Self { flaws: self.flaws | 1 << flaw as u32 }
    }

    pub(crate) const fn has(self, flaw: Flaw) -> bool {
        self.flaws & 1 << flaw as u32 != 0
    }
}
