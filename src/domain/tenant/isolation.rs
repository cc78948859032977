//! Whether the application is kept out of a mailbox that it must not read.

use super::checks::{could_not_look, gate};
use super::permissions::{self, Right};
use super::snapshot::TenantSnapshot;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::Verdict;
use crate::domain::reading::Reading;

/// What `AccessUnrestricted` says.
pub(super) fn verdict(s: &TenantSnapshot<'_>) -> Verdict {
    let Ok(desired) = s.desired else {
        return Verdict::Keep;
    };
    let Some(mailbox) = &desired.isolation_probe else {
        return Verdict::pass(Reason::NotApplicable);
    };
    if let Some(verdict) = gate(s) {
        return verdict;
    }
    match permissions::calendars(s) {
        // Who may read nothing proves nothing.
        Right::Missing(_) => return Verdict::blocked(&ConditionType::Unauthorized),
        Right::Unavailable(outage) => return could_not_look(s, outage),
        Right::Works | Right::NotLooked => {}
    }
    match &s.observed.isolation {
        Reading::Present(()) => Verdict::Problem(
            Reason::IsolationProbeReadable,
            format!(
                "The application can read {mailbox}, which must be out of its reach. An Exchange administrator has to limit it with RBAC for Applications or an application access policy; that takes up to two hours to act."
            ),
        ),
        Reading::Forbidden(_) => Verdict::pass(Reason::Isolated),
        Reading::Absent(_) => Verdict::Unknown(
            Reason::MailboxNotFound,
            format!(
                "{mailbox} does not exist, so it proves nothing. Name an existing mailbox in spec.isolationProbe."
            ),
        ),
        Reading::Unavailable(outage) => could_not_look(s, outage),
        Reading::NotLooked => match s.observed.stopped_by() {
            Some(outage) => could_not_look(s, outage),
            None => Verdict::Keep,
        },
    }
}
