//! What to look at next. The executor reads what it is told to, one look at a time; it has no choices.

use super::checks;
use super::snapshot::Snapshot;
use super::tenant_view::TokenState;
use crate::api::v1alpha1::mailbox::MailboxType;
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::Verdict;
use crate::domain::reading::Reading;
use crate::ids::{MailboxId, SubscriptionId};

/// One question to Microsoft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Who has this address, as primary or alias?
    Directory {
        /// The address.
        address: String,
    },
    /// Is it somebody's sign-in name?
    SignInName {
        /// The address.
        address: String,
    },
    /// Can the mailbox be read?
    Calendar {
        /// Object id, or the address.
        mailbox: MailboxId,
    },
    /// Does Places list the room?
    Place {
        /// The address.
        address: String,
    },
    /// Is the subscription still there?
    Subscription {
        /// Which.
        id: SubscriptionId,
    },
    /// Which subscriptions of this installation are for this object?
    Listing,
}

/// A directory user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Object id.
    pub id: MailboxId,
    /// Name that people know.
    pub display_name: String,
    /// Primary SMTP address.
    pub primary: Option<String>,
    /// Whether it is a guest.
    pub guest: bool,
}

/// What was seen in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Who has the address.
    pub directory: Reading<Vec<Person>>,
    /// Whose sign-in name it is.
    pub sign_in: Reading<Person>,
    /// Whether the calendar can be read.
    pub calendar: Reading<()>,
    /// Whether Places lists the room.
    pub place: Reading<()>,
    /// Whether the subscription is still there.
    pub subscription: Reading<()>,
    /// Our subscriptions for this object.
    pub listing: Reading<Vec<SubscriptionId>>,
}

impl Observed {
    /// The person behind `address`: by mail address, else by sign-in name.
    #[must_use]
    pub fn person(&self, address: &str) -> Option<&Person> {
        let by_address = self.directory.present().and_then(|people| {
            let primary = |p: &&Person| {
                p.primary
                    .as_deref()
                    .is_some_and(|a| a.eq_ignore_ascii_case(address))
            };
            people.iter().find(primary).or_else(|| people.first())
        });
        by_address.or_else(|| self.sign_in.present())
    }

    /// Whether the directory may not be read at all.
    #[must_use]
    pub const fn directory_forbidden(&self) -> bool {
        matches!(self.directory, Reading::Forbidden(_))
    }

    /// Whether anything could not be learned.
    #[must_use]
    pub const fn any_outage(&self) -> bool {
        self.directory.outage().is_some()
            || self.sign_in.outage().is_some()
            || self.calendar.outage().is_some()
            || self.place.outage().is_some()
            || self.subscription.outage().is_some()
            || self.listing.outage().is_some()
    }
}

/// The next question, or none when enough is known.
#[must_use]
pub fn next(snapshot: &Snapshot<'_>) -> Option<Look> {
    let desired = snapshot.desired.as_ref().ok()?;
    let tenant = snapshot.tenant.usable()?;
    if desired.suspended || snapshot.conflict.is_some() || tenant.token != TokenState::Issued {
        return None;
    }
    let observed = snapshot.observed;
    if observed.any_outage() {
        return None;
    }
    if snapshot.work.check {
        match check_look(snapshot) {
            CheckLook::Ask(look) => return Some(look),
            CheckLook::Stop | CheckLook::Done => {}
        }
    }
    let verify = snapshot.work.verify && observed.subscription == Reading::NotLooked;
    match &snapshot.progress.current {
        Some(current) if verify => Some(Look::Subscription {
            id: current.id.clone(),
        }),
        Some(_) | None => None,
    }
}

enum CheckLook {
    Ask(Look),
    /// A problem was found that makes further questions pointless.
    Stop,
    Done,
}

fn check_look(snapshot: &Snapshot<'_>) -> CheckLook {
    let (Ok(desired), Some(tenant)) = (snapshot.desired, snapshot.tenant.usable()) else {
        return CheckLook::Stop;
    };
    let observed = snapshot.observed;
    let found =
        |type_: &ConditionType| matches!(checks::verdict(snapshot, type_), Verdict::Problem(..));
    if found(&ConditionType::DomainMismatch) || tenant.domains.is_none() {
        return CheckLook::Stop;
    }
    let address = || desired.address.to_string();
    if observed.directory == Reading::NotLooked {
        return CheckLook::Ask(Look::Directory { address: address() });
    }
    let nobody = observed.directory.present().is_some_and(Vec::is_empty);
    if nobody && observed.sign_in == Reading::NotLooked {
        return CheckLook::Ask(Look::SignInName { address: address() });
    }
    if found(&ConditionType::MailboxNotFound) || found(&ConditionType::AddressMismatch) {
        return CheckLook::Stop;
    }
    if observed.calendar == Reading::NotLooked {
        let Some(identity) = snapshot.identity() else {
            return CheckLook::Stop;
        };
        return CheckLook::Ask(Look::Calendar {
            mailbox: identity.id,
        });
    }
    if found(&ConditionType::MailboxNotFound) || found(&ConditionType::Unauthorized) {
        return CheckLook::Stop;
    }
    let listed = desired.type_ == MailboxType::Room && tenant.places;
    if listed && observed.place == Reading::NotLooked {
        return CheckLook::Ask(Look::Place { address: address() });
    }
    CheckLook::Done
}
