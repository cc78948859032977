//! What the application may do, by functional evidence: the call that a feature needs works, or is refused.
//!
//! The token's roles only explain it and stand in where nothing can be tried: rights given by RBAC for
//! Applications do not show there (docs/graph.md 10).

use super::desired::TenantDesired;
use super::facts::Evidence;
use super::snapshot::TenantSnapshot;
use crate::api::v1alpha1::tenant::Permissions;
use crate::domain::reading::{Outage, Reading, Refusal};

/// Reading calendars and subscribing to their changes.
pub const CALENDARS_READ: &str = "Calendars.Read";
/// Creating the event of the provisioning check.
pub const CALENDARS_WRITE: &str = "Calendars.ReadWrite";
/// Reading all domains, also those that are not verified.
pub const DOMAINS_READ: &str = "Domain.Read.All";
/// Reading the organization, which names its verified domains.
pub const ORGANIZATION_READ: &str = "Organization.Read.All";
/// Reading everything in the directory.
pub const DIRECTORY_READ: &str = "Directory.Read.All";
/// Reading users with all forms of their addresses.
pub const USERS_READ: &str = "User.Read.All";
/// Reading Places.
pub const PLACES_READ: &str = "Place.Read.All";

/// Whether the application may do something, as far as this pass can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// It works, or nothing speaks against it.
    Works,
    /// It is refused, or not granted and nothing proves the contrary.
    Missing(Option<&'a Refusal>),
    /// Nobody looked.
    NotLooked,
    /// It could not be tried.
    Unavailable(&'a Outage),
}

/// Reading calendars. A role that is not in the token counts as missing until some mailbox proves otherwise.
#[must_use]
pub fn calendars<'a>(s: &TenantSnapshot<'a>) -> Right<'a> {
    let (Some(roles), Ok(desired)) = (s.observed.roles(), s.desired) else {
        return Right::NotLooked;
    };
    let granted = roles.iter().any(|role| role == CALENDARS_READ);
    let recent = Evidence::is_recent(s.evidence().calendars, s.now, desired.interval);
    match &s.observed.calendar {
        Reading::Present(()) => Right::Works,
        Reading::Forbidden(refusal) => Right::Missing(Some(refusal)),
        Reading::Unavailable(outage) => Right::Unavailable(outage),
        Reading::Absent(_) | Reading::NotLooked if granted || recent => Right::Works,
        Reading::Absent(_) | Reading::NotLooked => match s.observed.stopped_by() {
            Some(outage) => Right::Unavailable(outage),
            None => Right::Missing(None),
        },
    }
}

/// Reading the tenant's domains, by `/domains` or else by `/organization`.
#[must_use]
pub fn domains<'a>(s: &TenantSnapshot<'a>) -> Right<'a> {
    match (&s.observed.domains, &s.observed.organization) {
        (Reading::Present(_), _)
        | (Reading::Forbidden(_) | Reading::Absent(_), Reading::Present(_)) => Right::Works,
        (Reading::Unavailable(outage), _)
        | (Reading::Forbidden(_) | Reading::Absent(_), Reading::Unavailable(outage)) => {
            Right::Unavailable(outage)
        }
        (Reading::NotLooked, _)
        | (Reading::Forbidden(_) | Reading::Absent(_), Reading::NotLooked) => not_looked(s),
        (Reading::Forbidden(refusal), Reading::Forbidden(_) | Reading::Absent(_)) => {
            Right::Missing(Some(refusal))
        }
        (Reading::Absent(_), Reading::Forbidden(refusal)) => Right::Missing(Some(refusal)),
        (Reading::Absent(_), Reading::Absent(_)) => Right::Missing(None),
    }
}

/// Reading Places, if a feature needs it.
#[must_use]
pub fn places<'a>(s: &TenantSnapshot<'a>) -> Right<'a> {
    let Ok(desired) = s.desired else {
        return Right::NotLooked;
    };
    if !desired.places {
        return Right::Works;
    }
    let recent = Evidence::is_recent(s.evidence().places, s.now, desired.interval);
    match &s.observed.places {
        Reading::Present(()) | Reading::Absent(_) => Right::Works,
        Reading::Forbidden(refusal) => Right::Missing(Some(refusal)),
        Reading::Unavailable(outage) => Right::Unavailable(outage),
        Reading::NotLooked if recent => Right::Works,
        Reading::NotLooked => not_looked(s),
    }
}

fn not_looked<'a>(s: &TenantSnapshot<'a>) -> Right<'a> {
    match s.observed.stopped_by() {
        Some(outage) => Right::Unavailable(outage),
        None => Right::NotLooked,
    }
}

/// Every right without which the tenant cannot work, with the permission that gives it.
#[must_use]
pub fn needed<'a>(s: &TenantSnapshot<'a>) -> [(&'static str, Right<'a>); 3] {
    [
        (CALENDARS_READ, calendars(s)),
        (DOMAINS_READ, domains(s)),
        (PLACES_READ, places(s)),
    ]
}

/// Whether anything at all is known to work with this token.
#[must_use]
pub fn anything_works(s: &TenantSnapshot<'_>) -> bool {
    let (seen, evidence) = (s.observed, s.evidence());
    let recent = |at| {
        let interval = s.desired.as_ref().map(|desired| desired.interval);
        interval.is_ok_and(|interval| Evidence::is_recent(at, s.now, interval))
    };
    matches!(calendars(s), Right::Works)
        || seen.domains.present().is_some()
        || seen.organization.present().is_some()
        || seen.places.present().is_some()
        || seen.directory.present().is_some()
        || recent(evidence.places)
        || recent(evidence.directory)
}

/// What `status.permissions` says, when a token was seen in this pass.
#[must_use]
pub fn summary(s: &TenantSnapshot<'_>) -> Option<Permissions> {
    let (Some(roles), Ok(desired)) = (s.observed.roles(), s.desired) else {
        return None;
    };
    let needed = needed(s);
    if needed
        .iter()
        .any(|(_, right)| matches!(right, Right::Unavailable(_) | Right::NotLooked))
    {
        return None;
    }
    let mut missing: Vec<String> = needed
        .iter()
        .filter(|(_, right)| matches!(right, Right::Missing(_)))
        .map(|(permission, _)| (*permission).to_owned())
        .collect();
    if cannot_write(s, desired) {
        missing.push(CALENDARS_WRITE.to_owned());
    }
    if cannot_read_users(s, roles) {
        missing.push(USERS_READ.to_owned());
    }
    missing.sort();
    let mut granted = roles.to_vec();
    granted.sort();
    granted.dedup();
    Some(Permissions {
        excess: excess(&granted, desired),
        granted,
        missing,
    })
}

/// Whether the last provisioning check was refused its event.
fn cannot_write(s: &TenantSnapshot<'_>, desired: &TenantDesired) -> bool {
    match &s.observed.test.created {
        Reading::Forbidden(_) => true,
        Reading::Present(_) | Reading::Absent(_) => false,
        Reading::NotLooked | Reading::Unavailable(_) => {
            desired.test_mailbox.is_some() && was_missing(s, CALENDARS_WRITE)
        }
    }
}

fn was_missing(s: &TenantSnapshot<'_>, permission: &str) -> bool {
    let before = s.record.status.permissions.as_ref();
    before.is_some_and(|before| before.missing.iter().any(|m| m == permission))
}

/// Optional: without it mailboxes work by their address, but its forms cannot be told apart.
fn cannot_read_users(s: &TenantSnapshot<'_>, roles: &[String]) -> bool {
    match &s.observed.directory {
        Reading::Forbidden(_) => true,
        Reading::Present(()) | Reading::Absent(_) => false,
        Reading::Unavailable(_) => was_missing(s, USERS_READ),
        Reading::NotLooked => {
            let granted = roles.iter().any(|r| r == USERS_READ || r == DIRECTORY_READ);
            !granted && s.evidence().directory.is_none()
        }
    }
}

/// Granted permissions that no feature needs.
#[must_use]
pub fn excess(granted: &[String], desired: &TenantDesired) -> Vec<String> {
    let has = |permission: &str| granted.iter().any(|role| role == permission);
    let narrower = (has(DOMAINS_READ) || has(ORGANIZATION_READ)) && has(USERS_READ);
    granted
        .iter()
        .filter(|permission| match permission.as_str() {
            CALENDARS_READ | DOMAINS_READ | ORGANIZATION_READ | USERS_READ => false,
            CALENDARS_WRITE => desired.test_mailbox.is_none(),
            PLACES_READ => !desired.places,
            DIRECTORY_READ => narrower,
            _ => true,
        })
        .cloned()
        .collect()
}
