//! Why and when a tenant is worked on: everything that is coming, computed from the object, what this process
//! remembers and the time.

use std::ops::BitOr;
use std::time::Duration;

use jiff::Timestamp;

use super::checks::{self, EXPIRES_SOON, EXPIRES_VERY_SOON};
use super::desired::TenantDesired;
use super::observed::TenantObserved;
use super::permissions::CALENDARS_READ;
use super::snapshot::TenantSnapshot;
use super::status::counts;
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::time::Time;
use crate::api::vocabulary::{ConditionType, Reason, TENANT};
use crate::domain::agenda::Agenda;
use crate::domain::conditions::{agrees, find, stalls_at};
use crate::domain::queue::Class;
use crate::domain::schedule::slots::Slot;
use crate::domain::schedule::{ladder, later};
use crate::ids::Kind;

/// How long the numbers of mailboxes may differ from what the status says, so that many changes are one write.
pub const COUNTS_DEBOUNCE: Duration = Duration::from_secs(10);

/// How long after a look mailboxes' troubles are no reason for another.
const SUSPICION_PAUSE: Duration = Duration::from_mins(1);

/// How often the provisioning check is made without a reason.
const TEST_INTERVAL: Duration = Duration::from_hours(24);

/// What a pass does besides deciding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Ask Microsoft everything again.
    pub check: bool,
    /// Make the provisioning check too.
    pub test: bool,
    /// Get a new token first.
    pub fresh: bool,
}

impl Work {
    /// Nothing but to decide anew from what is known.
    pub const NONE: Self = Self {
        check: false,
        test: false,
        fresh: false,
    };
    /// A routine check.
    pub const CHECK: Self = Self {
        check: true,
        ..Self::NONE
    };
    /// A check with the provisioning check.
    pub const TEST: Self = Self {
        test: true,
        ..Self::CHECK
    };
    /// Everything that there is.
    pub const ALL: Self = Self {
        fresh: true,
        ..Self::TEST
    };
}

impl BitOr for Work {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            check: self.check || other.check,
            test: self.test || other.test,
            fresh: self.fresh || other.fresh,
        }
    }
}

/// What is coming for the tenant of a snapshot in which nothing was looked at yet.
#[must_use]
pub fn agenda(s: &TenantSnapshot<'_>) -> Agenda<Work> {
    let unlooked = TenantObserved::default();
    let s = &s.with(&unlooked);
    let mut agenda = Agenda::default();
    let active = s.desired.as_ref().ok().filter(|one| !one.suspended);
    if let Some(desired) = active {
        left_open(s, &mut agenda);
        routine(s, desired, &mut agenda);
        problems(s, &mut agenda);
        from_facts(s, &mut agenda);
        credential_ends(s, &mut agenda);
        let (kind, generation) = (Kind::CalendarTenant, s.record.generation);
        if let Some(at) = stalls_at(kind, s.previous(), generation, s.pace) {
            agenda.add(at, Class::Routine, Work::NONE);
        }
    }
    counts_changed(s, &mut agenda);
    // After a pass that failed nothing comes by itself before its backoff ends. People's wishes say themselves for what they wait.
    agenda.hold_until(s.memory.failures.held_until());
    match active {
        Some(_) => wishes(s, &mut agenda),
        None => at_rest(s, &mut agenda),
    }
    agenda
}

/// A new wish of a person is looked at once, whatever failed before. After that it waits for the retry of a
/// failed pass; a pass that did not fail and still left something open is not repeated for it.
fn wish(s: &TenantSnapshot<'_>) -> Option<Timestamp> {
    let tried = s.memory.tried.as_ref().is_some_and(|tried| {
        tried.generation == s.record.generation && tried.requested_at == s.record.requested_at
    });
    if tried {
        s.memory.failures.not_before()
    } else {
        Some(Timestamp::MIN)
    }
}

fn is_requested(s: &TenantSnapshot<'_>) -> bool {
    let requested = &s.record.requested_at;
    requested.is_some() && *requested != s.record.status.last_handled_reconcile_at
}

/// Suspended, or with a spec that cannot be used: only what the status says of that.
fn at_rest(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    let shown = match s.desired {
        Ok(_) => &Reason::Suspended,
        Err(problem) => &problem.reason,
    };
    let ready = find(s.previous(), &ConditionType::Ready);
    let current = ready.is_some_and(|ready| {
        ready.reason == *shown && ready.observed_generation == Some(s.record.generation)
    });
    if let (true, Some(at)) = (!current || is_requested(s), wish(s)) {
        agenda.add(at, Class::User, Work::NONE);
    }
}

/// What somebody asked for: a change of the spec or of the credential, the annotation.
fn wishes(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    let generation = Some(s.record.generation);
    let outdated = TENANT.iter().any(|meta| {
        find(s.previous(), meta.type_).is_none_or(|c| c.observed_generation != generation)
    });
    let resumed =
        find(s.previous(), &ConditionType::Ready).is_some_and(|c| c.reason == Reason::Suspended);
    if let (true, Some(at)) = (outdated || resumed || is_requested(s), wish(s)) {
        agenda.add(at, Class::User, Work::ALL);
    }
    if s.memory.check_wanted {
        agenda.add(Timestamp::MIN, Class::User, Work::CHECK);
    }
}

/// What mailboxes met that only the tenant can explain, and what a pass did not end.
fn left_open(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    if s.memory.suspected {
        agenda.add(after_last_look(s), Class::First, Work::CHECK);
    }
    if s.memory.pending != Work::NONE {
        agenda.add(Timestamp::MIN, Class::Routine, s.memory.pending);
    }
}

/// Suspicions of many mailboxes are one look a minute.
fn after_last_look(s: &TenantSnapshot<'_>) -> Timestamp {
    let looked = s.memory.looked_at.unwrap_or(Timestamp::MIN);
    later(looked, s.pace.of(SUSPICION_PAUSE))
}

/// What comes round by itself: the first look of this process, slots, retries.
fn routine(s: &TenantSnapshot<'_>, desired: &TenantDesired, agenda: &mut Agenda<Work>) {
    let uid = s.record.uid;
    if s.memory.looked_at.is_none() {
        agenda.add(Timestamp::MIN, Class::First, Work::CHECK);
    }
    if let Some(at) = s.memory.failures.not_before() {
        agenda.add(at, Class::Routine, s.memory.retry);
    }
    let next = |interval, served| {
        let slot = Slot::new(interval, uid, uid, 1);
        let missed = slot.last_between(served, s.now);
        missed.unwrap_or_else(|| slot.next(s.now))
    };
    let at = next(desired.interval, s.memory.checked_at);
    agenda.add(at, Class::Routine, Work::CHECK);
    if desired.test_mailbox.is_some() {
        let at = next(TEST_INTERVAL, s.memory.tested_at);
        agenda.add(at, Class::Routine, Work::TEST);
    }
}

/// A problem found is looked at again, ever more seldom.
fn problems(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    let looked_at_again = [
        (ConditionType::Unauthorized, Work::CHECK),
        (ConditionType::DomainMismatch, Work::CHECK),
        (ConditionType::TestMailboxFailed, Work::TEST),
        (ConditionType::MicrosoftUnavailable, Work::CHECK),
    ];
    for (type_, work) in looked_at_again {
        let problem = find(s.previous(), &type_).filter(|c| c.status == ConditionStatus::True);
        if let Some(problem) = problem {
            let began = problem.last_transition_time.timestamp();
            let at = ladder::next(began, s.record.uid, s.memory.checked_at, s.pace);
            agenda.add(at, Class::Routine, work);
        }
    }
}

/// What this process has learned outside this tenant's passes and the status does not say yet.
fn from_facts(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    for type_ in [
        ConditionType::EndpointRejected,
        ConditionType::MicrosoftUnavailable,
        ConditionType::CredentialExpiring,
    ] {
        let verdict = checks::verdict(s, &type_);
        if !agrees(s.previous(), &type_, &verdict, s.record.generation) {
            agenda.add(Timestamp::MIN, Class::User, Work::NONE);
        }
    }
    let permissions = s.record.status.permissions.as_ref();
    let missing = permissions.is_some_and(|p| p.missing.iter().any(|m| m == CALENDARS_READ));
    let proven = s
        .evidence()
        .calendars
        .is_some_and(|seen| seen > s.memory.checked_at);
    if missing && proven {
        agenda.add(Timestamp::MIN, Class::User, Work::CHECK);
    }
}

fn credential_ends(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    let credential = s.record.status.credential.as_ref();
    let Some(ends) = credential.and_then(|c| c.expires_at).map(Time::timestamp) else {
        return;
    };
    for ahead in [EXPIRES_SOON, EXPIRES_VERY_SOON] {
        let at = ends.checked_sub(ahead).unwrap_or(Timestamp::MIN);
        if at > s.now {
            agenda.add(at, Class::Routine, Work::NONE);
        }
    }
    if ends > s.memory.checked_at {
        agenda.add(ends, Class::Routine, Work::CHECK);
    }
}

fn counts_changed(s: &TenantSnapshot<'_>, agenda: &mut Agenda<Work>) {
    if s.record.status.mailboxes.as_ref() != Some(&counts(s.mailboxes)) {
        let known = s.memory.counts_changed_at.or(s.memory.ended_at);
        let since = known.unwrap_or(s.memory.first_seen);
        let at = later(since, s.pace.of(COUNTS_DEBOUNCE));
        agenda.add(at, Class::First, Work::NONE);
    }
}
