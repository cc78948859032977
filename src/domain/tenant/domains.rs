//! Whether the domains that `spec.domains` names are the tenant's own.

use super::checks::{could_not_look, gate};
use super::observed::DomainSeen;
use super::permissions::{self, Right};
use super::snapshot::TenantSnapshot;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::Verdict;
use crate::domain::mailbox::checks::listed;

/// What `DomainMismatch` says.
pub(super) fn verdict(s: &TenantSnapshot<'_>) -> Verdict {
    if let Some(verdict) = gate(s) {
        return verdict;
    }
    match (permissions::domains(s), s.observed.all_domains()) {
        (Right::Works, Some(domains)) => compare(s, domains),
        (Right::Missing(_), _) => Verdict::blocked(&ConditionType::Unauthorized),
        (Right::Unavailable(outage), _) => could_not_look(s, outage),
        (Right::NotLooked, _) | (Right::Works, None) => Verdict::Keep,
    }
}

/// The wanted domains that the tenant does not have, and why not.
fn wrong<'a>(s: &'a TenantSnapshot<'_>, seen: &[DomainSeen]) -> Vec<(&'a str, Reason)> {
    let Ok(desired) = s.desired else {
        return Vec::new();
    };
    let reason = |name: &str| match seen.iter().find(|domain| domain.name == name) {
        Some(domain) if domain.verified => None,
        Some(_) => Some(Reason::DomainNotVerified),
        None => Some(Reason::DomainNotInTenant),
    };
    desired
        .domains
        .iter()
        .filter_map(|name| reason(name).map(|reason| (name.as_str(), reason)))
        .collect()
}

/// Whether the address lies in a domain that this pass has found not to be the tenant's.
pub(super) fn is_wrong(s: &TenantSnapshot<'_>, address: &str) -> bool {
    let (Some(seen), Some((_, domain))) = (s.observed.all_domains(), address.rsplit_once('@'))
    else {
        return false;
    };
    wrong(s, seen)
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(domain))
}

fn compare(s: &TenantSnapshot<'_>, seen: &[DomainSeen]) -> Verdict {
    let wrong = wrong(s, seen);
    let Some((_, reason)) = wrong.first() else {
        return Verdict::pass(Reason::DomainVerified);
    };
    let verified: Vec<String> = seen
        .iter()
        .filter(|domain| domain.verified)
        .map(|domain| domain.name.clone())
        .collect();
    let of = |wanted: Reason| -> Vec<String> {
        let matching = wrong.iter().filter(|(_, reason)| *reason == wanted);
        matching.map(|(name, _)| (*name).to_owned()).collect()
    };
    let (unverified, foreign) = (of(Reason::DomainNotVerified), of(Reason::DomainNotInTenant));
    let mut sentences = Vec::new();
    if !foreign.is_empty() {
        sentences.push(format!(
            "spec.domains names {}, which the tenant does not have; its verified domains are {}. Correct spec.domains, or add the domain in Microsoft 365.",
            listed(&foreign),
            listed(&verified)
        ));
    }
    if !unverified.is_empty() {
        sentences.push(format!(
            "The ownership of {} is not proven. A Microsoft 365 administrator has to verify it under Settings, Domains; until then Webex words this as Unauthorized.",
            listed(&unverified)
        ));
    }
    Verdict::Problem(reason.clone(), sentences.join(" "))
}
