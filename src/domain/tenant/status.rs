//! The status of a tenant after a pass: conditions, what was found, and the mailboxes summed up.

use super::checks;
use super::credential::CredentialReading;
use super::observed::DomainSeen;
use super::permissions;
use super::snapshot::{Mailboxes, TenantSnapshot};
use crate::api::v1alpha1::tenant::{
    CalendarTenantStatus, CredentialStatus, Domain, MailboxCounts, Organization,
};
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::{Subject, Verdict, assess};
use crate::ids::Kind;

/// Most domains that `status.domains` shows.
pub const DOMAINS_LIMIT: usize = 256;

/// What the status says after this pass.
#[must_use]
pub fn status(s: &TenantSnapshot<'_>) -> CalendarTenantStatus {
    judged(s, |type_| checks::verdict(s, type_))
}

/// The same by the verdicts of somebody who looks at less than the rules need, such as who must not write.
#[must_use]
pub fn judged(
    s: &TenantSnapshot<'_>,
    verdict: impl Fn(&ConditionType) -> Verdict,
) -> CalendarTenantStatus {
    let before = &s.record.status;
    let subject = Subject {
        kind: Kind::CalendarTenant,
        generation: s.record.generation,
        previous: &before.conditions,
        suspended: s.desired.as_ref().is_ok_and(|desired| desired.suspended),
        now: s.now,
        pace: s.pace,
    };
    let spec_problem = match s.desired {
        Ok(_) => None,
        Err(problem) => Some((problem.reason.clone(), problem.message.clone())),
    };
    let assessment = assess(&subject, verdict, spec_problem);
    let observed_generation = if assessment.settled {
        Some(s.record.generation)
    } else {
        before.observed_generation
    };
    let requested_at = s.record.requested_at.clone();
    CalendarTenantStatus {
        observed_generation,
        conditions: assessment.conditions.into(),
        organization: organization(s),
        domains: domains(s),
        permissions: permissions::summary(s).or_else(|| before.permissions.clone()),
        credential: credential(s),
        mailboxes: Some(counts(s.mailboxes)),
        last_handled_reconcile_at: requested_at
            .or_else(|| before.last_handled_reconcile_at.clone()),
    }
}

fn organization(s: &TenantSnapshot<'_>) -> Option<Organization> {
    match s.observed.organization.present() {
        Some(seen) => Some(Organization {
            display_name: seen.display_name.clone(),
            id: seen.id.clone(),
        }),
        None => s.record.status.organization.clone(),
    }
}

/// The default domain first, then by name.
fn domains(s: &TenantSnapshot<'_>) -> Vec<Domain> {
    let Some(seen) = s.observed.all_domains() else {
        return s.record.status.domains.clone();
    };
    let mut seen: Vec<&DomainSeen> = seen.iter().collect();
    seen.sort_by(|a, b| (!a.default, &a.name).cmp(&(!b.default, &b.name)));
    let domain = |seen: &DomainSeen| Domain {
        name: seen.name.clone(),
        default: seen.default,
        verified: seen.verified,
    };
    seen.into_iter().take(DOMAINS_LIMIT).map(domain).collect()
}

fn credential(s: &TenantSnapshot<'_>) -> Option<CredentialStatus> {
    let before = s.record.status.credential.clone();
    let Ok(desired) = s.desired else {
        return before;
    };
    let kind = desired.credential.kind().to_owned();
    match &s.observed.credential {
        CredentialReading::Usable { expires_at, .. } => Some(CredentialStatus {
            kind,
            expires_at: expires_at.map(Into::into),
        }),
        CredentialReading::Problem(_) => Some(CredentialStatus {
            kind,
            expires_at: None,
        }),
        CredentialReading::NotLooked | CredentialReading::Unavailable(_) => before,
    }
}

/// The numbers as the status shows them.
#[must_use]
pub fn counts(mailboxes: &Mailboxes) -> MailboxCounts {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    MailboxCounts {
        total: number(mailboxes.total),
        ready: number(mailboxes.ready),
        summary: format!("{}/{}", mailboxes.ready, mailboxes.total),
    }
}
