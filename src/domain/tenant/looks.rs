//! What to look at next. The executor asks what it is told to, one look at a time; it has no choices. What does not
//! depend on each other is one look.

use super::credential::{CredentialReading, TokenReading};
use super::desired::TenantDesired;
use super::facts::Evidence;
use super::permissions::{self, CALENDARS_READ, DIRECTORY_READ, Right, USERS_READ};
use super::snapshot::TenantSnapshot;
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::domain::reading::Reading;

/// One question, or one step of the provisioning check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantLook {
    /// Can the credential be found in the cluster and used?
    Credential,
    /// Does Entra issue a token?
    Token(Freshness),
    /// Which domains are there, what is the organization called, and which domains does it name?
    Company {
        /// May Places be read, too?
        places: bool,
    },
    /// May the directory's users be read?
    Directory {
        /// Any address.
        address: String,
    },
    /// May a calendar be read?
    Calendar {
        /// Address of the mailbox.
        mailbox: String,
    },
    /// Remove an event that an earlier pass could not remove.
    DeleteLeftover(TestEvent),
    /// Create a marked event.
    CreateTestEvent {
        /// Address of the mailbox.
        mailbox: String,
    },
    /// Read it back.
    ReadTestEvent(TestEvent),
    /// Remove it.
    DeleteTestEvent(TestEvent),
    /// May the calendar be read that must not be?
    IsolationProbe {
        /// Address of the mailbox.
        mailbox: String,
    },
}

/// An event of the provisioning check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestEvent {
    /// Address of the mailbox.
    pub mailbox: String,
    /// Graph's id of the event.
    pub event: String,
}

/// Which token will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The one in use.
    Cached,
    /// A new one, whose roles are those granted by now.
    New,
}

/// The next question, or none when enough is known. Without a token nothing else is asked.
#[must_use]
pub fn next(s: &TenantSnapshot<'_>) -> Option<TenantLook> {
    let desired = s.desired.as_ref().ok()?;
    if desired.suspended || !s.work.check {
        return None;
    }
    match &s.observed.credential {
        CredentialReading::NotLooked => return Some(TenantLook::Credential),
        CredentialReading::Usable { .. } => {}
        CredentialReading::Problem(_) | CredentialReading::Unavailable(_) => return None,
    }
    match &s.observed.token {
        TokenReading::NotLooked => return Some(TenantLook::Token(freshness(s))),
        TokenReading::Issued { .. } => {}
        TokenReading::Refused(_) | TokenReading::Unavailable(_) => return None,
    }
    if let Some(look) = test_event_look(s, desired) {
        return Some(look);
    }
    if s.observed.stopped_by().is_some() {
        return None;
    }
    access_look(s, desired)
        .or_else(|| test_look(s, desired))
        .or_else(|| isolation_look(s, desired))
}

/// A new token shows a consent that was given a moment ago.
fn freshness(s: &TenantSnapshot<'_>) -> Freshness {
    let troubled = find(s.previous(), &ConditionType::Unauthorized)
        .is_some_and(|c| c.status == ConditionStatus::True);
    if s.work.fresh || troubled {
        Freshness::New
    } else {
        Freshness::Cached
    }
}

/// What is left to do with the event that this pass has created. It is removed whatever else happens.
fn test_event_look(s: &TenantSnapshot<'_>, desired: &TenantDesired) -> Option<TenantLook> {
    let test = &s.observed.test;
    let event = TestEvent {
        mailbox: desired.test_mailbox.clone()?,
        event: test.created.present()?.clone(),
    };
    match (&test.read, &test.deleted) {
        (Reading::NotLooked, Reading::NotLooked) => Some(TenantLook::ReadTestEvent(event)),
        (_, Reading::NotLooked) => Some(TenantLook::DeleteTestEvent(event)),
        (_, _) => None,
    }
}

/// Organization, domains, and each permission that is not proven otherwise.
fn access_look(s: &TenantSnapshot<'_>, desired: &TenantDesired) -> Option<TenantLook> {
    let seen = s.observed;
    let roles = seen.roles()?;
    let recent = |at| Evidence::is_recent(at, s.now, desired.interval);
    let evidence = s.evidence();
    // Who asks for a fresh look gets one: what worked lately may have been revoked.
    let enough = |at| recent(at) && !s.work.fresh;
    if seen.domains == Reading::NotLooked {
        let places = desired.places && !enough(evidence.places);
        return Some(TenantLook::Company { places });
    }
    let has_role = |role: &str| roles.iter().any(|r| r == role);
    let mailbox = s.probe_mailbox()?.to_owned();
    let directory = has_role(USERS_READ) || has_role(DIRECTORY_READ) || enough(evidence.directory);
    if seen.directory == Reading::NotLooked && !directory {
        return Some(TenantLook::Directory { address: mailbox });
    }
    let calendars = has_role(CALENDARS_READ) || enough(evidence.calendars);
    if seen.calendar == Reading::NotLooked && !calendars {
        return Some(TenantLook::Calendar { mailbox });
    }
    None
}

fn test_look(s: &TenantSnapshot<'_>, desired: &TenantDesired) -> Option<TenantLook> {
    let test = &s.observed.test;
    match (&s.memory.leftover, &test.leftover) {
        (Some(leftover), Reading::NotLooked) => {
            return Some(TenantLook::DeleteLeftover(leftover.clone()));
        }
        // No second event beside one that cannot be removed.
        (Some(_), Reading::Forbidden(_) | Reading::Unavailable(_)) => return None,
        (Some(_), Reading::Present(()) | Reading::Absent(_)) | (None, _) => {}
    }
    let mailbox = desired.test_mailbox.clone()?;
    let possible = matches!(permissions::calendars(s), Right::Works);
    let due = s.wants_test() && test.created == Reading::NotLooked;
    (possible && due).then_some(TenantLook::CreateTestEvent { mailbox })
}

fn isolation_look(s: &TenantSnapshot<'_>, desired: &TenantDesired) -> Option<TenantLook> {
    let mailbox = desired.isolation_probe.clone()?;
    let possible = matches!(permissions::calendars(s), Right::Works);
    let due = s.observed.isolation == Reading::NotLooked;
    (possible && due).then_some(TenantLook::IsolationProbe { mailbox })
}
