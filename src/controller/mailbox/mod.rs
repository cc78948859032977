//! A pass over one mailbox.

mod change;
mod look;
pub mod observe;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::status::{WriteError, Written};
use super::world::{Context, Start};
use crate::api::v1alpha1::mailbox::WorkspaceMailboxStatus;
use crate::domain::announce::announcements;
use crate::domain::mailbox::look::{self as looks, Observed};
use crate::domain::mailbox::memory;
use crate::domain::mailbox::snapshot::Snapshot;
use crate::domain::mailbox::status::{interim, status as decide};
use crate::domain::mailbox::subscription::{self, Change, Progress, Step};
use crate::domain::mailbox::tenant_view::{EndpointState, TenantView};
use crate::domain::mailbox::work::Work;
use crate::domain::records::{MailboxRecord, Memory};
use crate::ids::{Kind, ObjectKey, SubscriptionId};
use crate::plain::Causes;

/// A pass that lasts longer than this shows what it has found so far.
const INTERIM_STATUS_AFTER: Duration = Duration::from_secs(5);

/// More changes than any plan has: a plan that goes on is a mistake, and ends here.
const MOST_STEPS: usize = 8;

/// So often a status is decided anew because the object changed meanwhile.
const WRITE_ATTEMPTS: usize = 4;

/// How a pass ended, as the metric's label spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Passed {
    /// Something was written.
    Changed,
    /// Everything was as it should be.
    Unchanged,
    /// The status could not be written.
    Failed,
}

/// What became of the object while its status was decided.
enum Reloaded {
    /// Another version of it.
    Same,
    /// It is gone, or another one has its name.
    Gone,
    /// It could not be read.
    Unread,
}

/// One pass, as far as it has come.
struct Pass<'a> {
    context: &'a Context,
    start: Start,
    work: Work,
    observed: Observed,
    progress: Progress,
    began: Instant,
}

/// Observes, plans, applies and writes the status, if anything is due.
pub(in crate::controller) async fn pass(context: &Context, key: &ObjectKey) -> Passed {
    let Some(mut pass) = Pass::begin(context, key) else {
        return Passed::Unchanged;
    };
    let seen = context.give_up.run_until_cancelled(pass.observe()).await;
    if seen.is_none() {
        return Passed::Failed;
    }
    pass.change().await;
    pass.make_tenant_look();
    pass.finish().await
}

impl<'a> Pass<'a> {
    fn begin(context: &'a Context, key: &ObjectKey) -> Option<Self> {
        let mut world = context.world();
        let mut start = world.start(context, key)?;
        let work = start.agenda(context).due(context.clock.now())?;
        if let Some(entry) = world.store.mailbox_mut(key) {
            memory::begin(&mut entry.memory, work);
            start.entry.memory = entry.memory.clone();
        }
        let progress = Progress::starting(&start.entry.record, &start.entry.memory);
        Some(Self {
            context,
            start,
            work,
            observed: Observed::default(),
            progress,
            began: Instant::now(),
        })
    }

    fn snapshot(&self) -> Snapshot<'_> {
        self.start
            .snapshot(self.context, (&self.observed, &self.progress), self.work)
    }

    async fn observe(&mut self) {
        let next = |observed: &Observed| {
            let seen = (observed, &self.progress);
            looks::next(&self.start.snapshot(self.context, seen, self.work))
        };
        self.observed = observe::ask(Observed::default(), next, |look| self.read(look)).await;
        self.note_evidence();
        let noticed = subscription::outcome::noticed(&self.snapshot());
        if noticed.current.is_none() && self.progress.current.is_some() {
            self.count_if_vanished();
        }
        self.progress = noticed;
    }

    async fn change(&mut self) {
        for _ in 0..MOST_STEPS {
            match subscription::plan::next(&self.snapshot()) {
                None => return,
                Some(Step::Look(next)) => self.look(next).await,
                Some(Step::Change(Change::Create { .. })) if !self.may_try() => {}
                Some(Step::Change(change)) => {
                    self.show_interim().await;
                    let outcome = self.apply(&change).await;
                    self.progress = subscription::outcome::after(&self.snapshot(), change, outcome);
                }
            }
        }
        tracing::error!(mailbox = %self.start.entry.record.key, "a plan did not end; the mailbox is looked at again later");
    }

    /// Whether a subscription may be asked for; if not, this pass leaves it to whoever may.
    fn may_try(&mut self) -> bool {
        let uid = self.start.entry.record.uid;
        let TenantView::Known(tenant) = &mut self.start.tenant else {
            return true;
        };
        let cloud = &tenant.app.cloud;
        tenant.endpoint = self.context.endpoint_for(cloud, uid);
        tenant.endpoint == EndpointState::Usable
    }

    /// Whoever watches a slow pass sees what it has found.
    async fn show_interim(&mut self) {
        if self.began.elapsed() < INTERIM_STATUS_AFTER || self.progress.changed {
            return;
        }
        let decided = interim(&self.snapshot());
        if decided != self.start.entry.record.status
            && let Ok(Written::Done(record)) = self
                .context
                .statuses
                .write_mailbox(&self.start.entry.record, &decided)
                .await
        {
            self.announce(&decided);
            self.store(record.clone());
            self.start.entry.record = Arc::new(record);
        }
    }

    async fn finish(mut self) -> Passed {
        for _ in 0..WRITE_ATTEMPTS {
            let decided = decide(&self.snapshot());
            let record = Arc::clone(&self.start.entry.record);
            if decided == record.status {
                self.remember(memory::after);
                return if self.progress.changed {
                    Passed::Changed
                } else {
                    Passed::Unchanged
                };
            }
            match self.context.statuses.write_mailbox(&record, &decided).await {
                Ok(Written::Done(written)) => {
                    self.announce(&decided);
                    self.remember(memory::written);
                    self.store(written);
                    return Passed::Changed;
                }
                Ok(Written::Gone) => return self.forget(),
                Ok(Written::Conflict) => match self.reload().await {
                    Reloaded::Same => {}
                    Reloaded::Gone => return self.forget(),
                    Reloaded::Unread => break,
                },
                // The next leader does it all again.
                Err(WriteError::NotLeading) => return Passed::Failed,
                Err(error) => {
                    tracing::warn!(mailbox = %record.key, error = %Causes(&error), "the status could not be written; it is tried again");
                    break;
                }
            }
        }
        self.remember(memory::unwritten);
        Passed::Failed
    }

    /// The object changed under us: decides anew for its present version, if it is still the same object.
    async fn reload(&mut self) -> Reloaded {
        let key = self.start.entry.record.key.clone();
        let fresh = match super::cluster::mailbox(&self.context.client, &key).await {
            Ok(Some(fresh)) if fresh.uid == self.start.entry.record.uid => fresh,
            Ok(_) => return Reloaded::Gone,
            Err(error) => {
                tracing::warn!(mailbox = %key, error = %Causes(&error), "the object could not be read again");
                return Reloaded::Unread;
            }
        };
        let decided = &self.start.entry.record;
        // What was decided was decided for the spec at the beginning; a newer one is due right after.
        self.start.entry.record = Arc::new(MailboxRecord {
            generation: decided.generation,
            spec: decided.spec.clone(),
            requested_at: decided.requested_at.clone(),
            ..fresh
        });
        Reloaded::Same
    }

    fn announce(&self, decided: &WorkspaceMailboxStatus) {
        let record = &self.start.entry.record;
        let news = announcements(
            Kind::WorkspaceMailbox,
            &record.status.conditions,
            &decided.conditions,
        );
        self.context
            .publisher
            .publish(Kind::WorkspaceMailbox, record, news);
    }

    fn store(&self, written: MailboxRecord) {
        let now = self.context.clock.now();
        let named = written.status.subscription.clone();
        if !self.context.mailbox_written(written)
            && let (Some(named), Ok(desired)) = (named, self.start.entry.desired.as_ref())
        {
            // It was deleted right after the write. The watch has said so already, and knew only what was named before.
            let left_by = (desired.tenant.clone(), named.owner_uid);
            self.context.world().plan_removal(named.id, left_by, now);
            self.context.changed.notify_one();
        }
    }

    /// Keeps what this pass learned. What was asked for while it ran is left to be done.
    fn remember(&self, learn: fn(&Snapshot<'_>) -> Memory) {
        let decided = &self.start.entry.record;
        let mut world = self.context.world();
        // What was copied at the beginning moves along with a clock that was set back meanwhile.
        let mut memory = self.start.entry.memory.clone();
        memory.set_back(world.set_back_by.saturating_sub(self.start.set_back_by));
        let learned = learn(&Snapshot {
            memory: &memory,
            ..self.snapshot()
        });
        if let Some(entry) = world.store.mailbox_mut(&decided.key)
            && entry.record.uid == decided.uid
        {
            let wanted = entry.memory.wanted;
            let asked = entry.record.generation != decided.generation
                || entry.record.requested_at != decided.requested_at;
            entry.memory = Memory { wanted, ..learned };
            if asked {
                entry.memory.forget_failures();
            }
        }
    }

    /// The object is gone, or another one has its name: whatever the watch has told so far, it is not worked on again,
    /// and the subscription that no status will name is removed.
    fn forget(&self) -> Passed {
        let record = &self.start.entry.record;
        self.context.mailbox_vanished(&record.key, record.uid);
        let named = record.status.subscription.as_ref().map(|s| &s.id);
        let current = self.progress.current.as_ref().map(|s| &s.id);
        if let Some(id) = current.filter(|id| Some(*id) != named) {
            self.remove_subscription(id.clone());
        }
        Passed::Unchanged
    }

    fn remove_subscription(&self, id: SubscriptionId) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        let now = self.context.clock.now();
        let left_by = (desired.tenant.clone(), self.start.entry.record.uid);
        self.context.world().plan_removal(id, left_by, now);
        self.context.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, room, start, tenant};
    use super::*;
    use crate::domain::schedule::earlier;

    #[tokio::test(start_paused = true)]
    async fn a_pass_during_which_the_clock_is_set_back_leaves_nothing_that_waits_for_the_old_time()
    {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        context.mailbox_present(room(2));
        let key = room(2).key;
        let held = start();
        let memory_of = |context: &Context| {
            let world = context.world();
            world.store.mailbox(&key).unwrap().memory.clone()
        };
        if let Some(entry) = context.world().store.mailbox_mut(&key) {
            entry.memory.listing_after = Some(held);
        }
        // A new mailbox does not say at once that it waits for its tenant.
        tokio::time::advance(Duration::from_secs(10)).await;
        let pass = Pass::begin(&context, &key).unwrap();
        let day = Duration::from_hours(24);
        context.clock.set(earlier(start(), day));
        context.world().set_back(day);
        let expected = memory_of(&context);
        pass.remember(memory::after);
        assert_eq!(expected.listing_after, Some(earlier(held, day)));
        assert_eq!(memory_of(&context), expected);
    }
}
