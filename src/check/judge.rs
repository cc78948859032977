//! The statuses of a run: the controllers' verdicts, but for what a run does not try.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::v1alpha1::mailbox::WorkspaceMailboxStatus;
use crate::api::v1alpha1::tenant::{AllowedNamespaces, CalendarTenantStatus, FromNamespaces};
use crate::api::vocabulary::{ConditionType, Reason};
use crate::config::Writes;
use crate::domain::conditions::Verdict;
use crate::domain::mailbox::checks as mailbox_checks;
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::mailbox::status::judged as judged_mailbox;
use crate::domain::reading::OutageKind;
use crate::domain::tenant::checks as tenant_checks;
use crate::domain::tenant::snapshot::TenantSnapshot;
use crate::domain::tenant::status::judged as judged_tenant;

/// What the status of a tenant says.
#[must_use]
pub fn tenant(s: &TenantSnapshot<'_>, writes: Writes) -> CalendarTenantStatus {
    let created = s.observed.test.created.outage();
    let withheld = created.is_some_and(|outage| outage.kind == OutageKind::Withheld)
        && writes == Writes::Refused;
    judged_tenant(s, |type_| match (type_, tenant_checks::verdict(s, type_)) {
        (ConditionType::TestMailboxFailed, Verdict::Keep) if withheld => Verdict::Pass(
            Reason::NotApplicable,
            "Not tried: only with --write-test is an event created.".to_owned(),
        ),
        (_, verdict) => verdict,
    })
}

/// What the status of a mailbox says. `hidden`: whether its tenant admits its namespace depends on labels that nobody
/// has told.
#[must_use]
pub fn mailbox(s: &Snapshot<'_>, hidden: bool) -> WorkspaceMailboxStatus {
    let namespace = &s.record.key.namespace;
    judged_mailbox(s, |type_| {
        match (type_, mailbox_checks::verdict(s, type_)) {
            (ConditionType::SubscriptionInactive, Verdict::Problem(Reason::Pending, _)) => {
                Verdict::Pass(
                    Reason::NotApplicable,
                    "Not tried: only the operator asks for a subscription.".to_owned(),
                )
            }
            (ConditionType::TenantNotReady, Verdict::Problem(Reason::ReferenceNotPermitted, _))
                if hidden =>
            {
                Verdict::Unknown(
                    Reason::NotYetKnown,
                    format!(
                        "The tenant admits namespaces by their labels, and those of namespace {namespace} are in none of the files. Add its manifest with -f."
                    ),
                )
            }
            (_, verdict) => verdict,
        }
    })
}

/// The selector by which a tenant in `home` admits `namespace`, if labels decide about it.
#[must_use]
pub fn selector_for<'a>(
    allowed: &'a AllowedNamespaces,
    home: &str,
    namespace: &str,
) -> Option<&'a LabelSelector> {
    match allowed.from {
        FromNamespaces::Selector if home != namespace => allowed.selector.as_ref(),
        FromNamespaces::Selector | FromNamespaces::Same | FromNamespaces::All => None,
    }
}
