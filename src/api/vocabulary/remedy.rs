//! Who can end a problem, and how. Words for people; nothing here decides anything.

use crate::api::vocabulary::Reason;

/// Who can end a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Administrator of Entra ID.
    EntraAdministrator,
    /// Administrator of Exchange Online.
    ExchangeAdministrator,
    /// The platform team that runs the operator.
    PlatformTeam,
    /// Whoever wrote the object.
    ObjectOwner,
    /// Nobody: it heals by itself.
    Nobody,
}

impl Actor {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EntraAdministrator => "Entra administrator",
            Self::ExchangeAdministrator => "Exchange administrator",
            Self::PlatformTeam => "platform team",
            Self::ObjectOwner => "owner of the object",
            Self::Nobody => "nobody, it heals by itself",
        }
    }
}

/// One way in which a condition can be True: one cause, one person who can end it, one remedy.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    /// The reason in the status.
    pub reason: &'static Reason,
    /// What is the matter, in a sentence.
    pub cause: &'static str,
    /// Who can end it.
    pub acts: Actor,
    /// What that person does.
    pub remedy: &'static str,
}

impl Problem {
    /// A problem whose cause is what its reason means everywhere.
    pub(super) const fn new(reason: &'static Reason, acts: Actor, remedy: &'static str) -> Self {
        Self {
            reason,
            cause: reason.docs(),
            acts,
            remedy,
        }
    }

    /// The cause here, where the word alone would leave it open.
    pub(super) const fn because(self, cause: &'static str) -> Self {
        Self { cause, ..self }
    }
}
