//! What this process remembers about a tenant besides its facts. Losing it costs little: a process looks at every
//! tenant when it begins. Only a test event that could not be removed is not known any more: it stays in the mailbox.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::looks::TestEvent;
use super::snapshot::TenantSnapshot;
use super::work::Work;
use crate::domain::reading::{OutageKind, Reading};
use crate::domain::records::Failures;
use crate::domain::schedule::{backoff, earlier, later};

/// One tenant, as this process remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantMemory {
    /// When this process first saw the object.
    pub first_seen: Timestamp,
    /// Slots and ladder steps up to this instant have been served.
    pub checked_at: Timestamp,
    /// Daily slots of the provisioning check up to this instant have been served.
    pub tested_at: Timestamp,
    /// When this process last asked Microsoft, however it ended.
    pub looked_at: Option<Timestamp>,
    /// Somebody asked for a check: the Secret with the credential changed.
    pub check_wanted: bool,
    /// A mailbox's pass met something that only the tenant can explain.
    pub suspected: bool,
    /// What a pass began and did not end, such as by a panic: it is done again.
    pub pending: Work,
    /// Passes in a row in which something could not be learned or written.
    pub failures: Failures,
    /// What the last failed pass was about, to be done again.
    pub retry: Work,
    /// A test event that could not be removed.
    pub leftover: Option<TestEvent>,
    /// Which wishes the last pass saw, fulfilled or not.
    pub tried: Option<Tried>,
    /// Since when the numbers of mailboxes differ from what the status says.
    pub counts_changed_at: Option<Timestamp>,
    /// When a pass last ended: what changed while it ran counts from then.
    pub ended_at: Option<Timestamp>,
}

/// The wishes of people that a pass saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Generation of the spec.
    pub generation: i64,
    /// Value of the annotation that asks for a check now.
    pub requested_at: Option<Arc<str>>,
}

impl TenantMemory {
    /// Of an object that was first seen at `first_seen`, while slots up to `served` count as served.
    #[must_use]
    pub fn new(served: Timestamp, first_seen: Timestamp) -> Self {
        Self {
            first_seen,
            checked_at: served,
            tested_at: served,
            looked_at: None,
            check_wanted: false,
            suspected: false,
            pending: Work::NONE,
            failures: Failures::default(),
            retry: Work::default(),
            leftover: None,
            tried: None,
            counts_changed_at: None,
            ended_at: None,
        }
    }

    /// The clock was set back by so much: what this process noted by the old one moves along.
    pub fn set_back(&mut self, by: Duration) {
        for at in [
            &mut self.first_seen,
            &mut self.checked_at,
            &mut self.tested_at,
        ] {
            *at = earlier(*at, by);
        }
        for at in [
            &mut self.looked_at,
            &mut self.counts_changed_at,
            &mut self.ended_at,
        ] {
            *at = at.map(|at| earlier(at, by));
        }
        self.failures.set_back(by);
    }

    /// The Secret with the credential appeared, changed or is offered no longer.
    ///
    /// What a process hears before its first look, which looks at the credential anyway, is no news: the first list
    /// of all Secrets. A look that is under way may have come too early.
    pub fn note_secret(&mut self, looking: bool) {
        if self.looked_at.is_some() || looking {
            self.check_wanted = true;
            self.failures = Failures::default();
            // A wish that waited for the retry of a failed pass has nothing else to wait for.
            self.tried = None;
        }
    }

    /// A pass with this work begins: what is asked for from now on is for the next one. What is done now stays pending
    /// until the pass has ended.
    pub fn begin(&mut self, work: Work) {
        self.pending = self.pending | work;
        self.check_wanted = false;
        self.suspected = false;
    }

    /// A pass ended, and its status was written or did not differ.
    pub fn end(&mut self, s: &TenantSnapshot<'_>) {
        self.note_tried(s);
        self.pending = Work::NONE;
        self.leftover = leftover(s);
        self.counts_changed_at = None;
        self.ended_at = Some(s.now);
        if !s.work.check {
            if !self.retry.check {
                self.failures = Failures::default();
            }
            return;
        }
        self.checked_at = s.now;
        self.looked_at = Some(s.now);
        if s.wants_test() {
            self.tested_at = s.now;
        }
        let failed = s
            .observed
            .outages()
            .any(|outage| outage.kind != OutageKind::Withheld);
        if failed {
            self.fail(s);
        } else {
            self.failures = Failures::default();
            self.retry = Work::default();
        }
    }

    /// A pass ended in which something could not be learned, or its status not written: it is repeated.
    pub fn fail(&mut self, s: &TenantSnapshot<'_>) {
        self.note_tried(s);
        self.pending = Work::NONE;
        let wait = backoff::transient(self.failures.next_try(), s.record.uid, s.pace);
        let asked = s
            .observed
            .outages()
            .filter_map(|outage| outage.retry_after)
            .max();
        let again = later(s.now, asked.map_or(wait, |asked| asked.max(wait)));
        self.failures = self.failures.and_another(s.now, again);
        self.retry = Work {
            test: s.work.test || s.wants_test(),
            ..s.work
        };
        self.leftover = leftover(s);
    }

    fn note_tried(&mut self, s: &TenantSnapshot<'_>) {
        self.tried = Some(Tried {
            generation: s.record.generation,
            requested_at: s.record.requested_at.clone(),
        });
    }
}

/// The test event that is still there after this pass, as far as we know.
fn leftover(s: &TenantSnapshot<'_>) -> Option<TestEvent> {
    let test = &s.observed.test;
    let mailbox = s
        .desired
        .as_ref()
        .ok()
        .and_then(|desired| desired.test_mailbox.clone());
    match (&test.created, mailbox) {
        (Reading::Present(event), Some(mailbox)) if !removed(&test.deleted) => Some(TestEvent {
            mailbox,
            event: event.clone(),
        }),
        _ if removed(&test.leftover) => None,
        _ => s.memory.leftover.clone(),
    }
}

/// Deleted, or not there any more.
const fn removed(deleted: &Reading<()>) -> bool {
    matches!(deleted, Reading::Present(()) | Reading::Absent(_))
}
