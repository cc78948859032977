//! Why and when a mailbox is worked on: everything that is coming, computed from the object, what this process
//! remembers, its tenant and the time. A restart changes nothing, since hardly anything is remembered.

use std::ops::{BitAnd, BitOr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::checks;
use super::snapshot::Snapshot;
use super::subscription;
use super::tenant_view::{KnownTenant, TenantView, TokenState};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::agenda::Agenda;
use crate::domain::conditions::{agrees, find, stalls_at};
use crate::domain::queue::Class;
use crate::domain::schedule::slots::Slot;
use crate::domain::schedule::{ladder, later, smear};
use crate::ids::Kind;

/// Over how long slots that nobody served are spread.
const CATCHING_UP: Duration = Duration::from_mins(5);

/// How long a new mailbox waits for its tenant's first token before it says that it waits.
pub const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a new mailbox waits for its tenant to appear before it says that there is none: both may have been applied
/// at once, and the two watches are not ordered.
pub const ORDER_PATIENCE: Duration = Duration::from_secs(1);

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
    /// Nothing but to decide anew.
    pub const NONE: Self = Self {
        check: false,
        verify: false,
        renew: false,
        renewal_due: false,
    };
    /// Ask Microsoft everything again.
    pub const CHECK: Self = Self {
        check: true,
        ..Self::NONE
    };
    /// See whether the subscription is still there.
    pub const VERIFY: Self = Self {
        verify: true,
        ..Self::NONE
    };
    /// Renew ahead of time.
    pub const RENEW: Self = Self {
        renew: true,
        ..Self::NONE
    };
    /// Renew by the calendar.
    pub const RENEWAL_DUE: Self = Self {
        renewal_due: true,
        ..Self::NONE
    };
    const ALL: Self = Self {
        renewal_due: true,
        ..Self::REPEATED
    };
    /// Everything that reads.
    pub(super) const LOOKS: Self = Self {
        check: true,
        verify: true,
        ..Self::NONE
    };
    /// Everything that has to be remembered until it is done: no status tells that it is due.
    pub(super) const REPEATED: Self = Self {
        renew: true,
        ..Self::LOOKS
    };

    /// What is left of it without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self {
            check: self.check && !other.check,
            verify: self.verify && !other.verify,
            renew: self.renew && !other.renew,
            renewal_due: self.renewal_due && !other.renewal_due,
        }
    }
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

impl BitAnd for Work {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.without(Self::ALL.without(other))
    }
}

/// What is coming for the mailbox of a snapshot in which nothing was looked at or changed yet.
#[must_use]
pub fn agenda(s: &Snapshot<'_>) -> Agenda<Work> {
    let mut agenda = Agenda::default();
    first_words(s, &mut agenda);
    if let Ok(desired) = s.desired
        && !desired.suspended
    {
        tenant_changes(s, &mut agenda);
        let (kind, generation) = (Kind::WorkspaceMailbox, s.record.generation);
        if let Some(at) = stalls_at(kind, s.previous(), generation, s.pace) {
            agenda.add(at, Class::Routine, Work::NONE);
        }
        subscription_ends(s, &mut agenda);
        if s.memory.unshown.is_some() {
            agenda.add(Timestamp::MIN, Class::User, Work::NONE);
        }
        if let Some(tenant) = s.tenant.usable() {
            asked_for(s, &mut agenda);
            if s.conflict.is_none() {
                checks_due(s, tenant, &mut agenda);
                subscription_due(s, tenant, &mut agenda);
            } else if s.progress.current.is_some() {
                agenda.add(s.memory.changes.held_until(), Class::User, Work::NONE);
            }
        }
    }
    agenda.hold_until(s.memory.writes.held_until());
    agenda
}

/// What is said of a new object or a new spec, and in answer to the annotation.
fn first_words(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    let patience = match s.tenant {
        TenantView::Known(tenant) if tenant.token == TokenState::Pending => FIRST_PATIENCE,
        TenantView::Missing(_) => ORDER_PATIENCE,
        TenantView::Known(_) | TenantView::NotPermitted(_) | TenantView::Suspended(_) => {
            Duration::ZERO
        }
    };
    let at_once = later(s.memory.first_seen, patience);
    let status = &s.record.status;
    if s.record.requested_at.is_some() && s.record.requested_at != status.last_handled_reconcile_at
    {
        agenda.add(at_once, Class::User, Work::CHECK);
    }
    if status.conditions.is_empty() {
        agenda.add(at_once, Class::First, Work::CHECK);
    } else if summary_is_outdated(s) {
        agenda.add(Timestamp::MIN, Class::User, Work::NONE);
    }
}

/// What a lifecycle event, a sweep or a failed pass left to be done.
fn asked_for(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    let (looks, changes) = (s.memory.looks.held_until(), s.memory.changes.held_until());
    let asked = [
        (s.memory.wanted, Class::User),
        (s.memory.pending, Class::Routine),
    ];
    for (work, class) in asked {
        let (reads, renewal) = (work & Work::LOOKS, work & Work::RENEW);
        if reads != Work::NONE {
            agenda.add(looks, class, reads);
        }
        if renewal != Work::NONE {
            agenda.add(changes, class.min(Class::Renewal), renewal);
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
            agenda.add(Timestamp::MIN, Class::User, Work::NONE);
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
            let at = subscription::plan::reference_is_given_up_from(s).unwrap_or(Timestamp::MIN);
            agenda.add(
                at.max(s.memory.changes.held_until()),
                Class::Routine,
                Work::NONE,
            );
        }
        TenantView::NotPermitted(_) | TenantView::Missing(_) | TenantView::Suspended(_) => {}
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
    let looks = s.memory.looks.held_until();
    let recorded = || CHECKED.iter().filter_map(|type_| find(s.previous(), type_));
    let other_generation = recorded().any(|c| c.observed_generation != Some(s.record.generation));
    let unlooked = recorded().any(is_unlooked);
    let problem = || recorded().find(|c| c.status == ConditionStatus::True);
    if tenant.domains.is_some() && (other_generation || unlooked && problem().is_none()) {
        agenda.add(looks, Class::User, Work::CHECK);
    }
    let domain = checks::verdict(s, &ConditionType::DomainMismatch);
    // A mailbox that says nothing yet is to be validated for the first time, and nothing has changed for it.
    if !s.previous().is_empty()
        && !agrees(
            s.previous(),
            &ConditionType::DomainMismatch,
            &domain,
            s.record.generation,
        )
    {
        agenda.add(looks, Class::User, Work::CHECK);
    }
    let slot = Slot::new(desired.interval, tenant.uid, uid, tenant.mailboxes);
    let served = s.memory.checked_at;
    let missed = slot.last_between(served, s.now);
    agenda.add(
        caught_up_with(s, missed.unwrap_or_else(|| slot.next(s.now))),
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
        let step = ladder::next(began, uid, served, s.pace);
        agenda.add(caught_up_with(s, step), Class::Routine, Work::CHECK);
    }
}

/// When something is done that falls due at `at`: what fell due before this process saw the object is done spread over
/// some minutes.
fn caught_up_with(s: &Snapshot<'_>, at: Timestamp) -> Timestamp {
    if at > s.memory.first_seen {
        return at;
    }
    let turn = smear::delay(s.record.uid, s.pace.of(CATCHING_UP));
    later(s.memory.first_seen, turn)
}

fn is_unlooked(condition: &Condition) -> bool {
    condition.status == ConditionStatus::Unknown
        && matches!(condition.reason, Reason::Blocked | Reason::NotYetKnown)
}

fn subscription_due(s: &Snapshot<'_>, tenant: &KnownTenant, agenda: &mut Agenda<Work>) {
    let Ok(desired) = s.desired else { return };
    let held = s.memory.changes.held_until();
    let named = s.record.status.subscription.as_ref();
    if named.is_some_and(|named| named.owner_uid != s.record.uid) {
        // A copy of an object brought its status along.
        agenda.add(held, Class::First, Work::CHECK);
    }
    let creatable = tenant
        .endpoint
        .usable_from()
        .filter(|_| subscription::plan::could_create(s))
        .map(|usable| usable.max(held));
    match &s.progress.current {
        Some(_) if !desired.subscribed => agenda.add(held, Class::User, Work::NONE),
        // Who it is now is asked once more, since the status cannot say it yet.
        Some(current) if subscription::plan::watches_another(s, current) => {
            agenda.add(
                held.max(s.memory.looks.held_until()),
                Class::User,
                Work::CHECK,
            );
        }
        Some(current) => {
            let ours = on_our_clock(s, current.renew_at.timestamp());
            agenda.add(ours.max(held), Class::Renewal, Work::RENEWAL_DUE);
            let turn = subscription::plan::replacement_turn(s, current);
            if let (Some(turn), Some(creatable)) = (turn, creatable) {
                agenda.add(turn.max(creatable), Class::Renewal, Work::NONE);
            }
        }
        None if desired.subscribed && waits_for_subscription(s) => {
            if let Some(creatable) = creatable {
                agenda.add(creatable, Class::First, Work::NONE);
            }
        }
        None => {}
    }
}

/// Its end shows, also while nothing can be done about it.
fn subscription_ends(s: &Snapshot<'_>, agenda: &mut Agenda<Work>) {
    let Some(current) = &s.progress.current else {
        return;
    };
    let ends = on_our_clock(s, current.expires_at.timestamp());
    let type_ = ConditionType::SubscriptionInactive;
    let verdict = checks::verdict(s, &type_);
    if ends > s.now || !agrees(s.previous(), &type_, &verdict, s.record.generation) {
        agenda.add(ends, Class::Routine, Work::NONE);
    }
}

/// Whether a subscription is missing for no reason that Graph gave: refusals are repeated by the ladder.
fn waits_for_subscription(s: &Snapshot<'_>) -> bool {
    find(s.previous(), &ConditionType::SubscriptionInactive).is_some_and(|c| match c.status {
        ConditionStatus::True => {
            matches!(c.reason, Reason::Pending | Reason::Removed | Reason::Lapsed)
        }
        ConditionStatus::Unknown => c.reason == Reason::NotYetKnown,
        ConditionStatus::False => false,
    })
}

fn on_our_clock(s: &Snapshot<'_>, graph: Timestamp) -> Timestamp {
    let ahead: SignedDuration = s.graph_now.duration_since(s.now);
    graph.saturating_sub(ahead).unwrap_or(graph)
}
