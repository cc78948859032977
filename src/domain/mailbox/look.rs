//! What to look at next. The executor reads what it is told to, at once what it is told at once; it has no choices.

use super::checks;
use super::desired::MailboxDesired;
use super::snapshot::Snapshot;
use super::tenant_view::{KnownTenant, TokenState};
use crate::api::v1alpha1::mailbox::MailboxType;
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::Verdict;
use crate::domain::reading::{Outage, Reading};
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

impl Look {
    /// What is seen when nobody could be asked.
    #[must_use]
    pub fn unseen(&self, outage: Outage) -> Seen {
        match self {
            Self::Directory { .. } => Seen::Directory(Reading::Unavailable(outage)),
            Self::SignInName { .. } => Seen::SignInName(Reading::Unavailable(outage)),
            Self::Calendar { .. } => Seen::Calendar(Reading::Unavailable(outage)),
            Self::Place { .. } => Seen::Place(Reading::Unavailable(outage)),
            Self::Subscription { .. } => Seen::Subscription(Reading::Unavailable(outage)),
            Self::Listing => Seen::Listing(Reading::Unavailable(outage)),
        }
    }
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Who has the address.
    Directory(Reading<Vec<Person>>),
    /// Whose sign-in name it is.
    SignInName(Reading<Person>),
    /// Whether the calendar can be read.
    Calendar(Reading<()>),
    /// Whether Places lists the room.
    Place(Reading<()>),
    /// Whether the subscription is still there.
    Subscription(Reading<()>),
    /// Our subscriptions for this object.
    Listing(Reading<Vec<SubscriptionId>>),
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
    /// Takes an answer in.
    pub fn note(&mut self, seen: Seen) {
        match seen {
            Seen::Directory(reading) => self.directory = reading,
            Seen::SignInName(reading) => self.sign_in = reading,
            Seen::Calendar(reading) => self.calendar = reading,
            Seen::Place(reading) => self.place = reading,
            Seen::Subscription(reading) => self.subscription = reading,
            Seen::Listing(reading) => self.listing = reading,
        }
    }

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

/// The next questions, which can be asked at once; none when enough is known.
#[must_use]
pub fn next(snapshot: &Snapshot<'_>) -> Vec<Look> {
    let (Ok(desired), Some(tenant)) = (snapshot.desired, snapshot.tenant.usable()) else {
        return Vec::new();
    };
    let observed = snapshot.observed;
    if desired.suspended
        || snapshot.conflict.is_some()
        || tenant.token != TokenState::Issued
        || observed.any_outage()
    {
        return Vec::new();
    }
    if snapshot.work.check {
        let looks = check_looks(snapshot, desired, tenant);
        if !looks.is_empty() {
            return looks;
        }
    }
    let verify = snapshot.work.verify && observed.subscription == Reading::NotLooked;
    let current = snapshot.progress.current.iter().filter(|_| verify);
    let subscription = current.map(|current| Look::Subscription {
        id: current.id.clone(),
    });
    subscription.collect()
}

/// What a check wants to know next; nothing when it is done, or a problem was found that makes further questions
/// pointless. Places is asked at once with the calendar, even if that then turns out to be refused or missing.
fn check_looks(
    snapshot: &Snapshot<'_>,
    desired: &MailboxDesired,
    tenant: &KnownTenant,
) -> Vec<Look> {
    let observed = snapshot.observed;
    let found =
        |type_: &ConditionType| matches!(checks::verdict(snapshot, type_), Verdict::Problem(..));
    let address = || desired.address.to_string();
    if found(&ConditionType::DomainMismatch) || tenant.domains.is_none() {
        return Vec::new();
    }
    if observed.directory == Reading::NotLooked {
        return vec![Look::Directory { address: address() }];
    }
    let nobody = observed.directory.present().is_some_and(Vec::is_empty);
    if nobody && observed.sign_in == Reading::NotLooked {
        return vec![Look::SignInName { address: address() }];
    }
    if found(&ConditionType::MailboxNotFound) || found(&ConditionType::AddressMismatch) {
        return Vec::new();
    }
    let identity = snapshot.identity();
    let unread = identity.filter(|_| observed.calendar == Reading::NotLooked);
    let Some(identity) = unread else {
        return Vec::new();
    };
    let listed = desired.type_ == MailboxType::Room && tenant.places;
    let calendar = Look::Calendar {
        mailbox: identity.id,
    };
    let place = listed.then(|| Look::Place { address: address() });
    std::iter::once(calendar).chain(place).collect()
}
