//! What the store keeps of each object: just what decisions use, and the object's own memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::v1alpha1::mailbox::{HistoryEntry, WorkspaceMailboxSpec, WorkspaceMailboxStatus};
use crate::api::v1alpha1::tenant::{CalendarTenantSpec, CalendarTenantStatus};
use crate::api::vocabulary::Reason;
use crate::domain::mailbox::subscription::Progress;
use crate::domain::mailbox::work::Work;
use crate::domain::schedule::{earlier, later};
use crate::domain::texts::Texts;
use crate::ids::{ObjectKey, Uid};

/// A Kubernetes object as far as decisions use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<Spec, Status> {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID: another one under the same name is another object.
    pub uid: Uid,
    /// Generation of the spec.
    pub generation: i64,
    /// Version that a write must be based on.
    pub resource_version: Arc<str>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Value of the annotation that asks for a check now.
    pub requested_at: Option<Arc<str>>,
    /// What is declared.
    pub spec: Spec,
    /// What was found out before.
    pub status: Status,
}

/// A tenant in the store.
pub type TenantRecord = Record<CalendarTenantSpec, CalendarTenantStatus>;

/// A mailbox in the store.
pub type MailboxRecord = Record<WorkspaceMailboxSpec, WorkspaceMailboxStatus>;

impl MailboxRecord {
    /// Keeps once what it has in common with others, and nothing twice. Its key is the store's matter.
    pub fn share(&mut self, texts: &mut Texts) {
        texts.share(&mut self.spec.tenant_ref.name);
        texts.share(&mut self.spec.check_interval);
        let WorkspaceMailboxStatus {
            conditions,
            mailbox,
            subscription,
            history,
            ..
        } = &mut self.status;
        texts.share_conditions(conditions);
        for entry in history.iter_mut() {
            let HistoryEntry {
                time: _,
                from,
                to,
                reason,
                message,
            } = entry;
            for text in [to, reason, message].into_iter().chain(from) {
                texts.share(text);
            }
        }
        if let Some(subscription) = subscription {
            texts.share(&mut subscription.endpoint_hash);
        }
        if let Some(mailbox) = mailbox
            && mailbox.primary_address == self.spec.address
        {
            mailbox.primary_address = Arc::clone(&self.spec.address);
        }
        // A list is read with room for more, which never comes.
        history.shrink_to_fit();
    }
}

/// What this process remembers about one mailbox.
///
/// Most of it only saves time. What is lost for good with the process are wishes that neither spec nor status shows:
/// those of lifecycle events and sweeps. The next slot, the ladder of a problem and the next sweep look all the same,
/// and a renewal is due by the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Slots and ladder steps up to this instant have been served.
    pub checked_at: Timestamp,
    /// What was asked for beyond the spec: by a lifecycle event or a sweep.
    pub wanted: Work,
    /// What a pass began and did not finish: it is repeated, also after a panic.
    pub pending: Work,
    /// Looks in a row that taught nothing.
    pub looks: Failures,
    /// Changes of the subscription in a row that were not carried out.
    pub changes: Failures,
    /// Status writes in a row that the API server did not take.
    pub writes: Failures,
    /// When this process first saw the object.
    pub first_seen: Timestamp,
    /// A create whose outcome is not known: only a listing that is newer tells what it left.
    pub listing_after: Option<Timestamp>,
    /// Since when there is no subscription although there was one, and why. Boxed like all that hardly any mailbox has.
    pub lost: Option<Box<(Timestamp, Reason)>>,
    /// What became of the subscription in a pass whose status could not be written. It may have been, all the same.
    pub unshown: Option<Box<Progress>>,
    /// Since when this process has seen the tenant refuse the reference.
    pub not_permitted_since: Option<Timestamp>,
}

/// Failures in a row that taught nothing. Nearly always there are none, so that they take one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(Option<Box<Streak>>);

/// One failure or more in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Streak {
    tries: u32,
    since: Timestamp,
    not_before: Timestamp,
}

impl Failures {
    /// So many, the first of them at `since`; not to be tried again before `not_before`.
    #[must_use]
    pub fn new(tries: u32, since: Timestamp, not_before: Timestamp) -> Self {
        Self(Some(Box::new(Streak {
            tries,
            since,
            not_before,
        })))
    }

    /// How many.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.0.as_ref().map_or(0, |streak| streak.tries)
    }

    /// How many with one more.
    #[must_use]
    pub fn next_try(&self) -> u32 {
        self.tries().saturating_add(1)
    }

    /// When the first happened.
    fn since(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|streak| streak.since)
    }

    /// Not to be tried again before.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|streak| streak.not_before)
    }

    /// Until when what failed has to wait; long past when nothing failed.
    #[must_use]
    pub fn held_until(&self) -> Timestamp {
        self.not_before().unwrap_or(Timestamp::MIN)
    }

    /// Whether they have gone on for so long at `now`.
    #[must_use]
    pub fn have_lasted(&self, patience: Duration, now: Timestamp) -> bool {
        self.since()
            .is_some_and(|since| now >= later(since, patience))
    }

    /// One more, at `now`; not to be tried again before `not_before`.
    #[must_use]
    pub fn and_another(&self, now: Timestamp, not_before: Timestamp) -> Self {
        Self::new(self.next_try(), self.since().unwrap_or(now), not_before)
    }

    /// The clock was set back by so much.
    pub fn set_back(&mut self, by: Duration) {
        if let Some(streak) = &mut self.0 {
            streak.since = earlier(streak.since, by);
            streak.not_before = earlier(streak.not_before, by);
        }
    }
}

impl Memory {
    /// Of an object that was first seen while slots up to `checked_at` count as served.
    #[must_use]
    pub fn new(checked_at: Timestamp, first_seen: Timestamp) -> Self {
        Self {
            checked_at,
            wanted: Work::NONE,
            pending: Work::NONE,
            looks: Failures::default(),
            changes: Failures::default(),
            writes: Failures::default(),
            first_seen,
            listing_after: None,
            lost: None,
            unshown: None,
            not_permitted_since: None,
        }
    }

    /// The clock was set back by so much: what this process noted by the old one moves along.
    pub fn set_back(&mut self, by: Duration) {
        let Self {
            checked_at,
            wanted: _,
            pending: _,
            looks,
            changes,
            writes,
            first_seen,
            listing_after,
            lost: _,
            unshown: _,
            not_permitted_since,
        } = self;
        *checked_at = earlier(*checked_at, by);
        *first_seen = earlier(*first_seen, by);
        for failures in [looks, changes, writes] {
            failures.set_back(by);
        }
        for at in [listing_after, not_permitted_since] {
            *at = at.map(|at| earlier(at, by));
        }
    }

    /// What a person asks for does not wait for a backoff.
    pub fn forget_failures(&mut self) {
        self.looks = Failures::default();
        self.changes = Failures::default();
        self.writes = Failures::default();
    }
}
