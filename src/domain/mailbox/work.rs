//! Why and when a mailbox is worked on: everything that is coming, computed from the object, what this process
//! remembers, its tenant and the time. A restart changes nothing, since hardly anything is remembered.

use std::ops::BitOr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::checks;
use super::snapshot::Snapshot;
use super::subscription;
use super::tenant_view::{KnownTenant, TenantView, TokenState};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::agenda::Agenda;
use crate::domain::conditions::{STALL_PATIENCE, agrees, find};
use crate::domain::queue::Class;
use crate::domain::schedule::slots::Slot;
use crate::domain::schedule::{ladder, later};

/// How long a new mailbox waits for its tenant's first token before it says that it waits.
pub const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What a pass does besides deciding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four tasks, any of which a pass may have"
)]
pub struct Work {
    /// Ask Microsoft everything again.
    pub check: bool,
    /// See whether the subscription is still there.
    pub verify: bool,
    /// Graph asked for a renewal ahead of time.
    pub renew: bool,
    /// The renewal is due by the calendar.
    pub renewal_due: bool,
}

impl Work {
    const NONE: Self = Self {
        check: false,
        verify: false,
        renew: false,
        renewal_due: false,
    };
    const CHECK: Self = Self {
        check: true,
        ..Self::NONE
    };
    const VERIFY: Self = Self {
        verify: true,
        ..Self::NONE
    };
    const RENEW: Self = Self {
        renew: true,
        ..Self::NONE
    };
    const RENEWAL_DUE: Self = Self {
        renewal_due: true,
        ..Self::NONE
    };
}

impl BitOr for Work {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            check: self.check || other.check,
            verify: self.verify || other.verify,
            renew: self.renew || other.renew,
            renewal_due: self.renewal_due || other.renewal_due,
        }
    }
}

/// What is coming for the mailbox of a snapshot in which nothing was looked at or changed yet.
#[must_use]
pub fn agenda(s: &Snapshot<'_>) -> Agenda<Work> {
    let mut agenda = Agenda::default();
    wishes(s, &mut agenda);
    if let Ok(desired) = s.desired
        && !desired.suspended
    {
        tenant_changes(s, &mut agenda);
        if let Some(tenant) = s.tenant.usable() {
            retries(s, &mut agenda);
            if s.conflict.is_none() {
                checks_due(s, tenant, &mut agenda);
                subscription_due(s, tenant, &mut agenda);
            } else if s.progress.current.is_some() {
                agenda.add(held_back(s), Class::User, Work::NONE);
            }
        }
    }
    if let Some(at) = s.memory.stalls_at {
        agenda.add(at, Class::Routine, Work::NONE);
    }
    agenda
}

/// What somebody asked for: a change of the spec, the annotation, a lifecycle event.
fn wishes(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    let waits_for_token = s
        .tenant
        .known()
        .is_some_and(|tenant| tenant.token == TokenState::Pending);
    let at_once = if waits_for_token {
        later(s.memory.first_seen, FIRST_PATIENCE)
    } else {
        Timestamp::MIN
    };
    let status = &s.record.status;
    if s.record.requested_at.is_some() && s.record.requested_at != status.last_handled_reconcile_at
    {
        agenda.add(at_once, Class::User, Work::CHECK);
    }
    if status.conditions.is_empty() {
        agenda.add(at_once, Class::First, Work::CHECK);
    } else if summary_is_outdated(s) {
        agenda.add(held_back(s), Class::User, Work::NONE);
    }
    let wanted = [
        (s.memory.check_wanted, Work::CHECK),
        (s.memory.verify_wanted, Work::VERIFY),
        (s.memory.renew_wanted, Work::RENEW),
    ];
    if s.tenant.usable().is_some() {
        for (_, work) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            agenda.add(held_back(s), Class::User, work);
        }
    }
}

/// Whether `suspend` or a spec that cannot be used is not shown yet.
fn summary_is_outdated(s: &Snapshot<'_>) -> bool {
    let Some(ready) = find(s.previous(), &ConditionType::Ready) else {
        return true;
    };
    let suspended = s.desired.as_ref().is_ok_and(|desired| desired.suspended);
    let shown = ready.reason == Reason::Suspended;
    let resting = suspended || s.desired.is_err();
    suspended != shown || resting && ready.observed_generation != Some(s.record.generation)
}

/// What this mailbox says about its tenant or about a conflict is no longer true, or will not be.
fn tenant_changes(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    if s.previous().is_empty() {
        // It says nothing yet: the first pass is among the wishes, and may wait for the tenant's token.
        return;
    }
    for type_ in [ConditionType::TenantNotReady, ConditionType::Conflict] {
        if !agrees(
            s.previous(),
            &type_,
            &checks::verdict(s, &type_),
            s.record.generation,
        ) {
            agenda.add(held_back(s), Class::User, Work::NONE);
        }
    }
    match s.tenant {
        TenantView::Known(tenant) => {
            if let TokenState::Refused { since, .. } = &tenant.token {
                let grace = checks::grace_ends(s, tenant, *since);
                if grace > s.now {
                    agenda.add(grace, Class::Routine, Work::NONE);
                }
            }
        }
        TenantView::NotPermitted(_) if s.record.status.subscription.is_some() => {
            let refused = find(s.previous(), &ConditionType::TenantNotReady)
                .filter(|c| c.reason == Reason::ReferenceNotPermitted);
            if let Some(refused) = refused {
                let at = later(
                    refused.last_transition_time.timestamp(),
                    s.pace.of(STALL_PATIENCE),
                );
                agenda.add(at.max(held_back(s)), Class::Routine, Work::NONE);
            }
        }
        TenantView::NotPermitted(_) | TenantView::Missing(_) | TenantView::Suspended(_) => {}
    }
}

/// Now, unless the last pass failed: then not before its backoff ends.
fn held_back(s: &Snapshot<'_>) -> Timestamp {
    s.memory.failures.not_before.unwrap_or(Timestamp::MIN)
}

fn retries(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    if let Some(at) = s.memory.failures.not_before {
        let class = if s.memory.retry.renewal_due {
            Class::Renewal
        } else {
            Class::Routine
        };
        agenda.add(at, class, s.memory.retry);
    }
}

/// Conditions that a check of Microsoft's side settles.
const CHECKED: [ConditionType; 4] = [
    ConditionType::DomainMismatch,
    ConditionType::MailboxNotFound,
    ConditionType::AddressMismatch,
    ConditionType::Unauthorized,
];

fn checks_due(s: &Snapshot<'_>, tenant: &KnownTenant, agenda: &mut Agenda<Work>) {
    let (Ok(desired), uid) = (s.desired, s.record.uid) else {
        return;
    };
    let recorded = || CHECKED.iter().filter_map(|type_| find(s.previous(), type_));
    let other_generation = recorded().any(|c| c.observed_generation != Some(s.record.generation));
    let unlooked = recorded().any(is_unlooked);
    let problem = || recorded().find(|c| c.status == ConditionStatus::True);
    if tenant.domains.is_some() && (other_generation || unlooked && problem().is_none()) {
        agenda.add(held_back(s), Class::User, Work::CHECK);
    }
    let domain = checks::verdict(s, &ConditionType::DomainMismatch);
    if !agrees(
        s.previous(),
        &ConditionType::DomainMismatch,
        &domain,
        s.record.generation,
    ) {
        agenda.add(held_back(s), Class::User, Work::CHECK);
    }
    let slot = Slot::new(desired.interval, tenant.uid, uid, tenant.mailboxes);
    let served = s.memory.checked_at;
    let missed = slot.last_between(served, s.now);
    agenda.add(
        missed.unwrap_or_else(|| slot.next(s.now)),
        Class::Routine,
        Work::CHECK,
    );
    let unlisted = find(s.previous(), &ConditionType::RoomNotListed);
    let inactive = find(s.previous(), &ConditionType::SubscriptionInactive);
    let problems = recorded()
        .chain(unlisted)
        .chain(inactive)
        .filter(|c| c.status == ConditionStatus::True);
    if let Some(began) = problems.map(|c| c.last_transition_time.timestamp()).max() {
        let began = tenant
            .recovered_at
            .map_or(began, |recovered| began.max(recovered));
        agenda.add(
            ladder::next(began, uid, served, s.pace),
            Class::Routine,
            Work::CHECK,
        );
    }
}

fn is_unlooked(condition: &Condition) -> bool {
    condition.status == ConditionStatus::Unknown
        && matches!(condition.reason, Reason::Blocked | Reason::NotYetKnown)
}

fn subscription_due(s: &Snapshot<'_>, tenant: &KnownTenant, agenda: &mut Agenda<Work>) {
    let Ok(desired) = s.desired else { return };
    let named = s.record.status.subscription.as_ref();
    if named.is_some_and(|named| named.owner_uid != s.record.uid) {
        // A copy of an object brought its status along.
        agenda.add(held_back(s), Class::First, Work::CHECK);
    }
    match &s.progress.current {
        Some(_) if !desired.subscribed => agenda.add(held_back(s), Class::User, Work::NONE),
        Some(current) => {
            if !s.memory.retry.renewal_due {
                let ours = on_our_clock(s, current.renew_at.timestamp());
                agenda.add(ours, Class::Renewal, Work::RENEWAL_DUE);
            }
            let usable = tenant.endpoint.usable_from();
            let turn = subscription::plan::replacement_turn(s, current).zip(usable);
            if let Some((turn, usable)) = turn
                && subscription::plan::may_create(s)
            {
                let at = turn.max(usable).max(held_back(s));
                agenda.add(at, Class::Renewal, Work::NONE);
            }
        }
        None if desired.subscribed => {
            let waiting = find(s.previous(), &ConditionType::SubscriptionInactive)
                .is_some_and(|c| c.status == ConditionStatus::True && c.reason == Reason::Pending);
            let usable = tenant.endpoint.usable_from();
            if let (true, Some(usable)) = (waiting && subscription::plan::may_create(s), usable) {
                agenda.add(usable.max(held_back(s)), Class::First, Work::NONE);
            }
        }
        None => {}
    }
}

fn on_our_clock(s: &Snapshot<'_>, graph: Timestamp) -> Timestamp {
    let ahead: SignedDuration = s.graph_now.duration_since(s.now);
    graph.saturating_sub(ahead).unwrap_or(graph)
}
