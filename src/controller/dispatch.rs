//! The async shell of the work queue: takes what is due, runs each pass as a task of its own, and puts every object
//! back by what is coming for it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::item::Item;
use super::mailbox::{self, Passed};
use super::world::{Context, PANIC_BACKOFF};
use super::{removal, sweep, tenant};
use crate::clock::sleep;
use crate::domain::queue::Class;
use crate::domain::schedule::{between, later};

/// An object whose pass changed nothing is not looked at again before this: no plan can keep the operator spinning.
const BREATH: Duration = Duration::from_secs(1);

/// The longest sleep between two looks at the queue; the wall clock may have been set.
const LONGEST_NAP: Duration = Duration::from_mins(1);

/// How long passes may take to end after a stop was requested.
const DRAIN: Duration = Duration::from_secs(10);

/// How long those of them may take that neither create nor renew: nothing is lost with an answer that nobody waits for, and as
/// long as Microsoft takes to give it the next leader would wait.
const SHORT_DRAIN: Duration = Duration::from_secs(1);

/// Runs passes until `stop` says so, then lets those that run come to their end.
pub(super) async fn run(context: &Context, mut stop: watch::Receiver<bool>) {
    let mut passes = Passes {
        context: context.clone(),
        running: JoinSet::new(),
        items: HashMap::new(),
    };
    loop {
        passes.start_due();
        let nap = passes.nap();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = passes.running.join_next_with_id() => passes.end(ended),
            () = context.changed.notified() => {}
            () = sleep(nap) => {}
        }
    }
    if timeout(SHORT_DRAIN, passes.drain()).await.is_ok() {
        return;
    }
    context.give_up.cancel();
    if timeout(DRAIN.saturating_sub(SHORT_DRAIN), passes.drain())
        .await
        .is_err()
    {
        tracing::warn!(
            "passes that were still running at the end were abandoned; what follows from specs and statuses the next leader does, and what was asked for besides comes with a slot, a repetition or a sweep"
        );
    }
}

struct Passes {
    context: Context,
    running: JoinSet<Passed>,
    items: HashMap<Id, (Item, Instant)>,
}

impl Passes {
    /// Lets those that run come to their end.
    async fn drain(&mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.end(ended);
        }
    }

    fn start_due(&mut self) {
        let now = self.context.clock.now();
        let metrics = &self.context.metrics;
        self.context.world().forget_retired(metrics, now);
        loop {
            let taken = {
                let mut world = self.context.world();
                let taken = world.queue.take(now);
                if let Some(taken) = &taken {
                    world.in_flight.insert(taken.key.clone());
                }
                taken
            };
            let Some(taken) = taken else { return };
            let (context, item) = (self.context.clone(), taken.key.clone());
            let handle = self
                .running
                .spawn(async move { work(&context, &item).await });
            self.items.insert(handle.id(), (taken.key, Instant::now()));
        }
    }

    fn nap(&self) -> Duration {
        let now = self.context.clock.now();
        match self.context.world().queue.next_due() {
            Some(due) => between(now, due).min(LONGEST_NAP),
            None => LONGEST_NAP,
        }
    }

    fn end(&mut self, ended: Result<(Id, Passed), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((item, began)) = self.items.remove(&id) else {
            return;
        };
        let now = self.context.clock.now();
        let passed = match ended {
            Ok((_, passed)) => passed,
            Err(error) => {
                if error.is_panic() {
                    self.context.metrics.reconcile_panics.inc();
                    tracing::error!(?item, "a pass panicked; it is tried again later");
                }
                self.finish(&item, Some((later(now, PANIC_BACKOFF), Class::Routine)));
                return;
            }
        };
        self.observe(&item, passed, began.elapsed());
        let next = self.next(&item, now).map(|(at, class)| match passed {
            Passed::Changed => (at, class),
            Passed::Unchanged | Passed::Failed => (at.max(later(now, BREATH)), class),
        });
        self.finish(&item, next);
    }

    fn finish(&self, item: &Item, next: Option<(Timestamp, Class)>) {
        let mut world = self.context.world();
        world.in_flight.remove(item);
        world.queue.done(item, next);
    }

    fn next(&self, item: &Item, now: Timestamp) -> Option<(Timestamp, Class)> {
        let world = self.context.world();
        match item {
            Item::Mailbox(key) => world.next(&self.context, key, now),
            Item::Tenant(key) => world.next_tenant(&self.context, key, now),
            Item::Removal(id) => removal::next_removal(&world, &self.context, id, now),
            Item::Sweep(_) => Some(sweep::next(&world, &self.context, now)),
        }
    }

    fn observe(&self, item: &Item, passed: Passed, took: Duration) {
        let kind = match item {
            Item::Mailbox(_) => "WorkspaceMailbox",
            Item::Tenant(_) => "CalendarTenant",
            Item::Removal(_) | Item::Sweep(_) => return,
        };
        let outcome = match passed {
            Passed::Changed => "changed",
            Passed::Unchanged => "unchanged",
            Passed::Failed => "error",
        };
        self.context
            .metrics
            .reconcile_seconds
            .with_label_values(&[kind, outcome])
            .observe(took.as_secs_f64());
    }
}

/// Counted as under way until it is dropped, however the pass ends.
struct UnderWay<'a>(&'a IntGauge);

impl<'a> UnderWay<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn work(context: &Context, item: &Item) -> Passed {
    let _under_way = UnderWay::new(&context.metrics.reconciles_active);
    let give_up = &context.give_up;
    let up_to_date = give_up.run_until_cancelled(context.is_up_to_date(item));
    if up_to_date.await != Some(true) {
        return Passed::Failed;
    }
    match item {
        Item::Mailbox(key) => mailbox::pass(context, key).await,
        // Few, and large: boxed, so that each of many mailboxes takes no room for one.
        Item::Tenant(key) => Box::pin(tenant::pass(context, key)).await,
        Item::Removal(id) => {
            let pass = give_up.run_until_cancelled(removal::pass(context, id));
            pass.await.unwrap_or(Passed::Failed)
        }
        Item::Sweep(key) => {
            let pass = give_up.run_until_cancelled(sweep::pass(context, key));
            pass.await.unwrap_or(Passed::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::Stage;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_is_under_way_until_it_has_ended_or_is_abandoned() {
        let context = Stage::new().context();
        let under_way = || context.metrics.reconciles_active.get();
        let (abandoned, panicking) = (context.clone(), context.clone());
        let waiting = tokio::spawn(async move {
            let _under_way = UnderWay::new(&abandoned.metrics.reconciles_active);
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        assert_eq!(under_way(), 1);
        let panicked = tokio::spawn(async move {
            let _under_way = UnderWay::new(&panicking.metrics.reconciles_active);
            panic!("as a pass may");
        });
        panicked.await.unwrap_err();
        assert_eq!(under_way(), 1);
        waiting.abort();
        waiting.await.unwrap_err();
        assert_eq!(under_way(), 0);
    }
}
