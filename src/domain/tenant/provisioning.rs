//! What the provisioning check says: a marked event in the test mailbox was created, read back and deleted.

use super::checks::{could_not_look, gate, is_lasting};
use super::domains;
use super::permissions::{self, Right};
use super::snapshot::TenantSnapshot;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::{Verdict, with_request_id};
use crate::domain::reading::{Absence, Reading};

/// What `TestMailboxFailed` says.
pub(super) fn verdict(s: &TenantSnapshot<'_>) -> Verdict {
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    let Some(mailbox) = &desired.test_mailbox else {
        return Verdict::pass(Reason::NotApplicable);
    };
    if let Some(verdict) = gate(s) {
        return verdict;
    }
    match permissions::calendars(s) {
        Right::Missing(_) => return Verdict::blocked(&ConditionType::Unauthorized),
        Right::Unavailable(outage) if s.wants_test() => return could_not_look(s, outage),
        Right::Works | Right::NotLooked | Right::Unavailable(_) => {}
    }
    let test = &s.observed.test;
    if let Some(verdict) = cleanup(s, mailbox, &test.leftover) {
        return verdict;
    }
    match &test.created {
        Reading::NotLooked => match s.observed.stopped_by() {
            Some(outage) if s.wants_test() => could_not_look(s, outage),
            Some(_) | None => Verdict::Keep,
        },
        Reading::Absent(_) if domains::is_wrong(s, mailbox) => {
            Verdict::blocked(&ConditionType::DomainMismatch)
        }
        Reading::Absent(absence) => no_mailbox(mailbox, absence),
        Reading::Forbidden(refusal) => {
            let message = format!(
                "The application may not create events in the test mailbox {mailbox}. Grant Calendars.ReadWrite in Entra or by RBAC for Applications in Exchange Online, or choose another mailbox in spec.testMailbox."
            );
            let message = with_request_id(message, refusal.request_id.as_deref());
            Verdict::Problem(Reason::CreateDenied, message)
        }
        Reading::Unavailable(outage) => could_not_look(s, outage),
        Reading::Present(_) => created(s, mailbox),
    }
}

fn no_mailbox(mailbox: &str, absence: &Absence) -> Verdict {
    let (reason, message) = if absence.not_enabled_for_rest {
        let message = format!(
            "The test mailbox {mailbox} is unlicensed, soft-deleted or on-premises, so Graph cannot use it. License or migrate it, or choose another mailbox in spec.testMailbox."
        );
        (Reason::NotLicensed, message)
    } else {
        let message = format!(
            "The test mailbox {mailbox} does not exist. Create it in Exchange Online or correct spec.testMailbox."
        );
        (Reason::MailboxNotFound, message)
    };
    Verdict::Problem(
        reason,
        with_request_id(message, absence.request_id.as_deref()),
    )
}

/// The event was created: whether it could be read and removed.
fn created(s: &TenantSnapshot<'_>, mailbox: &str) -> Verdict {
    let test = &s.observed.test;
    if let Some(verdict) = cleanup(s, mailbox, &test.deleted) {
        return verdict;
    }
    match &test.read {
        Reading::Present(()) => Verdict::pass(Reason::TestPassed),
        Reading::Absent(_) | Reading::Forbidden(_) => {
            let message = format!(
                "Exchange accepted an event in the test mailbox {mailbox}, but it cannot be read back. See that no rule or policy of the mailbox removes it, and that the application has Calendars.Read."
            );
            Verdict::Problem(Reason::CreateDenied, message)
        }
        Reading::Unavailable(outage) => could_not_look(s, outage),
        Reading::NotLooked => Verdict::Keep,
    }
}

/// An event that could not be removed. An outage is not called so before it has lasted.
fn cleanup(s: &TenantSnapshot<'_>, mailbox: &str, deleted: &Reading<()>) -> Option<Verdict> {
    let request_id = match deleted {
        Reading::NotLooked | Reading::Present(()) | Reading::Absent(_) => return None,
        Reading::Unavailable(_) if !is_lasting(s) => return Some(Verdict::Keep),
        Reading::Unavailable(_) => None,
        Reading::Forbidden(refusal) => refusal.request_id.as_deref(),
    };
    let message = format!(
        "The test event in {mailbox} could not be deleted. Delete the event of the provisioning check there; the operator tries it again too."
    );
    let message = with_request_id(message, request_id);
    Some(Verdict::Problem(Reason::CleanupFailed, message))
}
