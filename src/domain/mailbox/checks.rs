//! The rules about a mailbox: one function per condition, what it says and why.
//!
//! Order and precedence are those of `vocabulary::MAILBOX`; a rule that depends on an earlier one is blocked by it.

use std::time::Duration;

use jiff::Timestamp;

use super::look::Person;
use super::snapshot::Snapshot;
use super::subscription;
use super::tenant_view::{KnownTenant, TenantView, TokenState};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::mailbox::MailboxType;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::{Verdict, find, with_request_id};
use crate::domain::reading::{Outage, Reading};
use crate::domain::schedule::later;
use crate::domain::schedule::smear::{self, SMEARED_WRITES_PER_SECOND};

/// How long mailboxes stay as they are when their tenant loses its token.
pub const TOKEN_GRACE: Duration = Duration::from_mins(5);

/// How long, and in how many tries, something must fail to be looked at before its condition says so.
pub const UNAVAILABLE_PATIENCE: Duration = Duration::from_mins(15);

/// See [`UNAVAILABLE_PATIENCE`].
pub const UNAVAILABLE_TRIES: u32 = 3;

/// What the rule of a condition says.
#[must_use]
pub fn verdict(snapshot: &Snapshot<'_>, type_: &ConditionType) -> Verdict {
    if snapshot
        .desired
        .as_ref()
        .is_ok_and(|desired| desired.suspended)
    {
        // It rests: what was seen before stands.
        return Verdict::Keep;
    }
    match RULES.iter().find(|rule| rule.condition == *type_) {
        Some(rule) => (rule.run)(snapshot),
        None => Verdict::Keep,
    }
}

struct Rule {
    condition: ConditionType,
    run: fn(&Snapshot<'_>) -> Verdict,
}

const RULES: &[Rule] = &[
    Rule {
        condition: ConditionType::TenantNotReady,
        run: tenant_not_ready,
    },
    Rule {
        condition: ConditionType::Conflict,
        run: conflict,
    },
    Rule {
        condition: ConditionType::DomainMismatch,
        run: domain_mismatch,
    },
    Rule {
        condition: ConditionType::MailboxNotFound,
        run: mailbox_not_found,
    },
    Rule {
        condition: ConditionType::AddressMismatch,
        run: address_mismatch,
    },
    Rule {
        condition: ConditionType::Unauthorized,
        run: unauthorized,
    },
    Rule {
        condition: ConditionType::SubscriptionInactive,
        run: subscription::verdict::inactive,
    },
    Rule {
        condition: ConditionType::RoomNotListed,
        run: room_not_listed,
    },
];

fn tenant_not_ready(s: &Snapshot<'_>) -> Verdict {
    match s.tenant {
        TenantView::Missing(key) => Verdict::Problem(
            Reason::TenantNotFound,
            format!("CalendarTenant {key} does not exist. Create it or correct spec.tenantRef."),
        ),
        TenantView::NotPermitted(key) => Verdict::Problem(
            Reason::ReferenceNotPermitted,
            format!(
                "CalendarTenant {key} does not allow mailboxes of namespace {}. Ask its owner to extend spec.allowedNamespaces.",
                s.record.key.namespace
            ),
        ),
        TenantView::Suspended(key) => Verdict::Problem(
            Reason::TenantSuspended,
            format!("CalendarTenant {key} is suspended. Set its spec.suspend to false."),
        ),
        TenantView::Known(tenant) => token_verdict(s, tenant),
    }
}

fn token_verdict(s: &Snapshot<'_>, tenant: &KnownTenant) -> Verdict {
    match &tenant.token {
        TokenState::Issued => Verdict::pass(Reason::TenantReady),
        TokenState::Pending => {
            let message = format!("CalendarTenant {} is being checked.", tenant.key);
            match find(s.previous(), &ConditionType::TenantNotReady) {
                Some(_) => Verdict::Keep,
                None => Verdict::Unknown(Reason::NotYetKnown, message),
            }
        }
        TokenState::Refused { since, reason } => {
            if s.now < grace_ends(s, tenant, *since) {
                return Verdict::Keep;
            }
            Verdict::Problem(
                Reason::TenantUnauthorized,
                format!(
                    "CalendarTenant {} gets no token: {reason}. Its own conditions say who must act.",
                    tenant.key
                ),
            )
        }
    }
}

/// When a mailbox says that its tenant has no token: each a little later than the other, so that a tenant with
/// thousands of them does not flood the API server at one instant.
#[must_use]
pub(super) fn grace_ends(s: &Snapshot<'_>, tenant: &KnownTenant, since: Timestamp) -> Timestamp {
    let spread = smear::window_for(tenant.mailboxes, SMEARED_WRITES_PER_SECOND);
    let turn = smear::delay(s.record.uid, spread);
    later(since, s.pace.of(TOKEN_GRACE).saturating_add(turn))
}

/// What keeps all further rules from being looked at, if anything does.
///
/// While a tenant has lost its token, what was found before stands.
fn gate(s: &Snapshot<'_>) -> Option<Verdict> {
    match s.tenant {
        TenantView::Missing(_) | TenantView::NotPermitted(_) => {
            Some(Verdict::blocked(&ConditionType::TenantNotReady))
        }
        TenantView::Suspended(_) => Some(Verdict::Keep),
        TenantView::Known(tenant) => match (&tenant.token, s.conflict) {
            (TokenState::Pending | TokenState::Refused { .. }, _) => Some(Verdict::Keep),
            (TokenState::Issued, Some(_)) => Some(Verdict::blocked(&ConditionType::Conflict)),
            (TokenState::Issued, None) => None,
        },
    }
}

fn conflict(s: &Snapshot<'_>) -> Verdict {
    match (s.tenant, s.conflict) {
        (TenantView::Missing(_) | TenantView::NotPermitted(_), _) => {
            Verdict::blocked(&ConditionType::TenantNotReady)
        }
        (TenantView::Suspended(_), _) => Verdict::Keep,
        (TenantView::Known(_), None) => Verdict::pass(Reason::NoConflict),
        (TenantView::Known(_), Some(other)) => Verdict::Problem(
            Reason::AddressInUse,
            format!(
                "WorkspaceMailbox {other} is older and has the same mailbox. Delete one of the two."
            ),
        ),
    }
}

fn domain_mismatch(s: &Snapshot<'_>) -> Verdict {
    if let Some(verdict) = gate(s) {
        return verdict;
    }
    let (Ok(desired), Some(tenant)) = (s.desired, s.tenant.known()) else {
        return Verdict::Keep;
    };
    let Some(domains) = &tenant.domains else {
        let message = format!(
            "The domains of CalendarTenant {} are not known.",
            tenant.key
        );
        return match find(s.previous(), &ConditionType::DomainMismatch) {
            Some(_) => Verdict::Keep,
            None => Verdict::Unknown(Reason::NotYetKnown, message),
        };
    };
    let domain = desired.domain();
    if !domains.verified.contains(&domain) {
        return Verdict::Problem(
            Reason::DomainNotInTenant,
            format!(
                "{domain} is not a verified domain of the tenant, which has {}. Correct spec.address, or verify the domain in Microsoft 365. Webex words this as Unauthorized.",
                listed(&domains.verified)
            ),
        );
    }
    match &domains.allowed {
        Some(allowed) if !allowed.contains(&domain) => Verdict::Problem(
            Reason::DomainNotAllowed,
            format!(
                "{domain} is not among spec.domains of CalendarTenant {}, which accepts {}. Correct spec.address, or add the domain there.",
                tenant.key,
                listed(allowed)
            ),
        ),
        Some(_) | None => Verdict::pass(Reason::DomainVerified),
    }
}

/// At most ten names, and how many more.
#[must_use]
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names {
        [] => "none".to_owned(),
        names if names.len() <= SHOWN => names.join(", "),
        names => format!(
            "{} and {} more",
            names[..SHOWN].join(", "),
            names.len() - SHOWN
        ),
    }
}

/// The verdict of an earlier rule that this one depends on, turned into `Blocked`.
fn blocked_by(s: &Snapshot<'_>, earlier: &[ConditionType]) -> Option<Verdict> {
    if let Some(verdict) = gate(s) {
        return Some(verdict);
    }
    earlier.iter().find_map(|type_| match verdict(s, type_) {
        Verdict::Problem(..) => Some(Verdict::blocked(type_)),
        // A problem found before stands until it is looked at again.
        Verdict::Keep => find(s.previous(), type_)
            .filter(|c| c.status == ConditionStatus::True)
            .map(|_| Verdict::Keep),
        Verdict::Pass(..) | Verdict::Unknown(..) => None,
    })
}

fn mailbox_not_found(s: &Snapshot<'_>) -> Verdict {
    if let Some(verdict) = blocked_by(s, &[ConditionType::DomainMismatch]) {
        return verdict;
    }
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    let address = &desired.address;
    let observed = s.observed;
    if let Some(outage) = observed
        .directory
        .outage()
        .or_else(|| observed.sign_in.outage())
    {
        return could_not_look(s, outage);
    }
    let nobody = observed.directory.present().is_some_and(Vec::is_empty);
    let nobody_signs_in = match &observed.sign_in {
        Reading::Absent(absence) => Some(absence.request_id.as_deref()),
        // Whether it is a sign-in name may not be told; an address it is not.
        Reading::Forbidden(refusal) => Some(refusal.request_id.as_deref()),
        Reading::NotLooked | Reading::Present(_) | Reading::Unavailable(_) => None,
    };
    if let (true, Some(request_id)) = (nobody, nobody_signs_in) {
        let message = format!(
            "No mailbox has the address {address}. Create it in Exchange or correct spec.address. Webex words this as Unauthorized."
        );
        return Verdict::Problem(Reason::NotFound, with_request_id(message, request_id));
    }
    if observed.person(address).is_some_and(|person| person.guest) {
        let message = format!(
            "{address} belongs to a guest, who has no mailbox in this tenant. Use a member's mailbox."
        );
        return Verdict::Problem(Reason::GuestAccount, message);
    }
    match &observed.calendar {
        Reading::NotLooked => match observed.directory {
            Reading::NotLooked => Verdict::Keep,
            Reading::Present(_)
            | Reading::Absent(_)
            | Reading::Forbidden(_)
            | Reading::Unavailable(_) => Verdict::pass(Reason::MailboxFound),
        },
        Reading::Present(()) | Reading::Forbidden(_) => Verdict::pass(Reason::MailboxFound),
        Reading::Absent(absence) => absent_mailbox(
            address,
            absence.not_enabled_for_rest,
            absence.request_id.as_deref(),
        ),
        Reading::Unavailable(outage) => could_not_look(s, outage),
    }
}

fn absent_mailbox(address: &str, not_enabled_for_rest: bool, request_id: Option<&str>) -> Verdict {
    let (reason, message) = if not_enabled_for_rest {
        let message = format!(
            "The mailbox {address} is on-premises, soft-deleted or unlicensed, so Graph cannot read it. Migrate, restore or license it in Exchange Online."
        );
        (Reason::NotEnabledForRest, message)
    } else {
        let message = format!(
            "The directory knows {address} but Exchange Online has no mailbox for it. Create the mailbox or correct spec.address."
        );
        (Reason::NotFound, message)
    };
    Verdict::Problem(reason, with_request_id(message, request_id))
}

fn address_mismatch(s: &Snapshot<'_>) -> Verdict {
    let earlier = [
        ConditionType::DomainMismatch,
        ConditionType::MailboxNotFound,
    ];
    if let Some(verdict) = blocked_by(s, &earlier) {
        return verdict;
    }
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    match &s.observed.directory {
        Reading::NotLooked | Reading::Unavailable(_) => Verdict::Keep,
        Reading::Absent(_) => Verdict::blocked(&ConditionType::MailboxNotFound),
        Reading::Forbidden(_) => Verdict::Unknown(
            Reason::PermissionMissing,
            "Without User.Read.All it cannot be told whether this is the primary address."
                .to_owned(),
        ),
        Reading::Present(_) => match s.observed.person(&desired.address) {
            Some(person) => compare_address(&desired.address, person, &s.observed.sign_in),
            None => Verdict::Keep,
        },
    }
}

fn compare_address(address: &str, person: &Person, by_sign_in: &Reading<Person>) -> Verdict {
    let primary = person.primary.as_deref().unwrap_or("none");
    if address.contains('\'') {
        let message = format!(
            "{address} contains an apostrophe, which the meeting service does not accept; the primary address is {primary}. Give the mailbox a primary address without one."
        );
        return Verdict::Problem(Reason::UnsupportedCharacter, message);
    }
    if primary.eq_ignore_ascii_case(address) {
        return Verdict::pass(Reason::PrimaryAddress);
    }
    let (reason, what) = match by_sign_in.present() {
        Some(_) => (Reason::UserPrincipalNameUsed, "a sign-in name"),
        None => (Reason::AliasUsed, "an alias"),
    };
    Verdict::Problem(
        reason,
        format!(
            "{address} is {what}; the primary address is {primary}. Set spec.address to it, or make {address} the primary address in Exchange."
        ),
    )
}

fn unauthorized(s: &Snapshot<'_>) -> Verdict {
    let earlier = [
        ConditionType::DomainMismatch,
        ConditionType::MailboxNotFound,
        ConditionType::AddressMismatch,
    ];
    if let Some(verdict) = blocked_by(s, &earlier) {
        return verdict;
    }
    let (Ok(desired), Some(tenant)) = (s.desired, s.tenant.known()) else {
        return Verdict::Keep;
    };
    let address = &desired.address;
    match &s.observed.calendar {
        Reading::Forbidden(refusal) => {
            let role = tenant.roles.iter().any(|r| r.starts_with("Calendars.Read"));
            let (reason, message) = if refusal.by_access_policy || role || tenant.calendars_readable
            {
                (
                    Reason::AccessPolicyDenied,
                    format!(
                        "An access policy of Exchange Online keeps the application out of {address}. Add the mailbox to the policy's group or to the management scope, and allow two hours for it to act."
                    ),
                )
            } else {
                (
                    Reason::PermissionMissing,
                    format!(
                        "The application may not read the calendar of {address}. Grant Calendars.Read in Entra, or an Exchange role by RBAC for Applications."
                    ),
                )
            };
            Verdict::Problem(
                reason,
                with_request_id(message, refusal.request_id.as_deref()),
            )
        }
        Reading::Unavailable(outage) => could_not_look(s, outage),
        Reading::Present(()) => {
            subscription::verdict::authorization(s).unwrap_or(Verdict::pass(Reason::Authorized))
        }
        Reading::NotLooked | Reading::Absent(_) if calendar_was_refused(s) => Verdict::Keep,
        Reading::NotLooked | Reading::Absent(_) => {
            subscription::verdict::authorization(s).unwrap_or(Verdict::Keep)
        }
    }
}

/// Whether the status says that the calendar cannot be read, which explains a subscription that is refused.
fn calendar_was_refused(s: &Snapshot<'_>) -> bool {
    find(s.previous(), &ConditionType::Unauthorized)
        .filter(|c| c.status == ConditionStatus::True)
        .filter(|c| c.observed_generation == Some(s.record.generation))
        .is_some_and(|c| {
            matches!(
                c.reason,
                Reason::AccessPolicyDenied | Reason::PermissionMissing
            )
        })
}

fn room_not_listed(s: &Snapshot<'_>) -> Verdict {
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    let places = s.tenant.known().is_none_or(|tenant| tenant.places);
    if desired.type_ == MailboxType::User || !places {
        return Verdict::pass(Reason::NotApplicable);
    }
    let earlier = [
        ConditionType::DomainMismatch,
        ConditionType::MailboxNotFound,
        ConditionType::AddressMismatch,
        ConditionType::Unauthorized,
    ];
    if let Some(verdict) = blocked_by(s, &earlier) {
        return verdict;
    }
    match &s.observed.place {
        Reading::NotLooked => Verdict::Keep,
        Reading::Present(()) => Verdict::pass(Reason::Listed),
        Reading::Absent(_) => Verdict::Problem(
            Reason::NotInPlaces,
            "The mailbox works but Places does not list it as a room. Make it a room mailbox in Exchange; a new room takes up to a day to appear.".to_owned(),
        ),
        Reading::Forbidden(_) => Verdict::Unknown(
            Reason::PermissionMissing,
            "Without Place.Read.All it cannot be told whether Places lists the room.".to_owned(),
        ),
        Reading::Unavailable(outage) => could_not_look(s, outage),
    }
}

/// Nothing was learned: what was said before stands, until that has lasted too long to be believed.
fn could_not_look(s: &Snapshot<'_>, outage: &Outage) -> Verdict {
    let failures = &s.memory.looks;
    let explained = s
        .tenant
        .known()
        .is_some_and(|tenant| tenant.microsoft_silent);
    let long = failures.have_lasted(s.pace.of(UNAVAILABLE_PATIENCE), s.now);
    if long && failures.tries() >= UNAVAILABLE_TRIES && !explained {
        let message = format!(
            "It could not be checked for a while. {}",
            outage.kind.sentence()
        );
        return Verdict::Unknown(
            Reason::Unavailable,
            with_request_id(message, outage.request_id.as_deref()),
        );
    }
    Verdict::Keep
}
