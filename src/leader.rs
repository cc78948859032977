//! Which of several copies may write: the one that holds the Lease.
//!
//! The rules are client-go's, the times are in [`LeaseTiming`]: another holder's time is measured on our own monotonic clock from when we saw it change, so clocks need not agree. This loop has
//! a Kubernetes client of its own, so that no queue of requests delays a renewal. What a leader does is not known
//! here.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::clock::{Clock, sleep};
use crate::domain::lease::LeaseTiming;
use crate::ids::ObjectKey;
use crate::plain::Causes;

pub mod fence;
#[cfg(test)]
mod fuzz;
mod lease;
#[cfg(test)]
mod tests;
pub mod whereabouts;

use self::fence::LeaseFence;
use self::lease::{Action, Record, Seen};
use self::whereabouts::advertise;

/// Whether this process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody else does, or nobody yet.
    Following,
    /// It does.
    Leading(Term),
}

/// One uninterrupted time of leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Timestamp,
    /// When the holder before last renewed, by that holder's clock: what was due since then may not have
    /// been done. `None` when there was none.
    pub previous_renewal: Option<Timestamp>,
}

/// Who wants to lead, and by what.
#[derive(Clone)]
pub struct Candidate {
    /// A client that nothing else uses: see [`client`].
    pub client: Client,
    /// The Lease.
    pub lease: ObjectKey,
    /// A name that no other process has: see [`identity`].
    pub identity: String,
    /// Where other copies reach this one while it leads; `None`: nowhere.
    pub wakes_at: Option<SocketAddr>,
    /// For the times written into the Lease.
    pub clock: Clock,
    /// How long it lasts.
    pub timing: LeaseTiming,
    /// 1 while leading.
    pub gauge: IntGauge,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("lease", &self.lease)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A client for the Lease: it does not repeat calls by itself.
///
/// # Errors
/// When the configuration cannot be used.
pub fn client(mut config: Config, timing: LeaseTiming) -> kube::Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(timing.request());
    Client::try_from(config)
}

/// A name for this process: where it runs, for people, and a random part.
#[must_use]
pub fn identity(host: Option<&str>) -> String {
    let host = host.unwrap_or("hybrid-calendar-operator");
    format!("{host}_{}", Uuid::new_v4())
}

/// Stands for election until it is released or dropped.
#[derive(Debug)]
pub struct Elector {
    leadership: watch::Receiver<Leadership>,
    fence: LeaseFence,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Electing {
        stop: DropGuard,
        task: JoinHandle<()>,
    },
    Always(watch::Sender<Leadership>),
}

impl Elector {
    /// Starts to compete for the Lease.
    #[must_use]
    pub fn start(candidate: Candidate) -> Self {
        let (sender, leadership) = watch::channel(Leadership::Following);
        let fence = LeaseFence::closed();
        let stop = CancellationToken::new();
        let attempts = Attempts::new(candidate, fence.clone(), sender);
        let task = tokio::spawn(attempts.run(stop.clone()));
        Self {
            leadership,
            fence,
            work: Work::Electing {
                stop: stop.drop_guard(),
                task,
            },
        }
    }

    /// Leads at once and for good: only one copy may run.
    #[must_use]
    pub fn always(clock: &Clock, gauge: &IntGauge) -> Self {
        gauge.set(1);
        let (sender, leadership) = watch::channel(Leadership::Leading(Term {
            since: clock.now(),
            previous_renewal: None,
        }));
        Self {
            leadership,
            fence: LeaseFence::open(),
            work: Work::Always(sender),
        }
    }

    /// Tells when leadership begins and ends. Ends are told before somebody else can lead.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// To be asked right before each write.
    #[must_use]
    pub fn fence(&self) -> LeaseFence {
        self.fence.clone()
    }

    /// Stops leading and gives the Lease up, so that another copy leads at once. Call it after the last
    /// write.
    pub async fn release(self) {
        self.fence.close();
        match self.work {
            Work::Always(sender) => {
                sender.send_replace(Leadership::Following);
            }
            Work::Electing { stop, task } => {
                stop.disarm().cancel();
                if let Err(error) = task.await {
                    tracing::error!(error = %error, "the leader election panicked");
                }
            }
        }
    }
}

/// The loop behind an [`Elector`].
struct Attempts {
    candidate: Candidate,
    leases: Api<Lease>,
    fence: LeaseFence,
    leadership: watch::Sender<Leadership>,
    /// What the Lease said, and since when.
    seen: Option<Seen>,
    /// The Lease as we wrote it last, to renew it without reading it first.
    written: Option<Lease>,
    /// Whether a write was begun whose outcome is not known: it may have made us the holder.
    writing: bool,
    /// Until when we lead unless we renew.
    leading_until: Option<Instant>,
    /// Why it cannot be reached, without the numbers in it.
    failing: Option<String>,
}

impl Attempts {
    fn new(candidate: Candidate, fence: LeaseFence, leadership: watch::Sender<Leadership>) -> Self {
        let leases = Api::namespaced(candidate.client.clone(), &candidate.lease.namespace);
        Self {
            candidate,
            leases,
            fence,
            leadership,
            seen: None,
            written: None,
            writing: false,
            leading_until: None,
            failing: None,
        }
    }

    const fn timing(&self) -> LeaseTiming {
        self.candidate.timing
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        loop {
            let deadline = self.leading_until;
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = reached(deadline) => None,
                next = self.round(pause) => Some(next),
            };
            pause = next.unwrap_or_else(|| {
                self.lose("it could not be renewed in time");
                self.timing().failure_pause()
            });
        }
        self.give_up().await;
    }

    /// Waits, tries once, and says how long to wait before the next try.
    async fn round(&mut self, pause: Duration) -> Duration {
        sleep(pause).await;
        let error = match timeout(self.timing().request(), self.attempt()).await {
            Ok(Ok(pause)) => {
                self.failing = None;
                return pause;
            }
            Ok(Err(error)) if is_conflict(&error) => return self.timing().failure_pause(),
            Ok(Err(error)) => Causes(&error).to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        let mut why = error.clone();
        why.retain(|c| !c.is_ascii_digit());
        if self.failing.as_ref() != Some(&why) {
            self.failing = Some(why);
            tracing::warn!(lease = %self.candidate.lease, error, "cannot reach the Lease");
        }
        self.timing().failure_pause()
    }

    async fn attempt(&mut self) -> kube::Result<Duration> {
        let name = &*self.candidate.lease.name;
        let lease = match self.written.take() {
            Some(lease) => Some(lease),
            None => self.leases.get_opt(name).await?,
        };
        // What it says now tells how earlier writes ended.
        self.writing = false;
        let started = Instant::now();
        let previous = self.seen.take();
        self.seen = lease
            .as_ref()
            .map(|lease| Seen::observe(previous, Record::of(lease), started));
        let wall = self.candidate.clock.now();
        let me = (&*self.candidate.identity, self.timing());
        let action = lease::step(self.seen.as_ref(), me, started, wall);
        let parameters = PostParams::default();
        let written = match action {
            Action::Wait { until } => {
                self.lose("somebody else holds it");
                return Ok(until.duration_since(started).min(self.timing().look()));
            }
            Action::Write(record) => {
                self.writing = true;
                match lease {
                    None => {
                        let lease = self.signed(record.create(&self.candidate.lease));
                        self.leases.create(&parameters, &lease).await?
                    }
                    Some(lease) => {
                        let lease = self.signed(record.write_into(lease));
                        self.leases.replace(name, &parameters, &lease).await?
                    }
                }
            }
        };
        self.writing = false;
        let pause = self.hold(started);
        self.seen = Some(Seen::observe(None, Record::of(&written), started));
        self.written = Some(written);
        Ok(pause)
    }

    /// With what its holder says of itself.
    fn signed(&self, lease: Lease) -> Lease {
        advertise(lease, &self.candidate.identity, self.candidate.wakes_at)
    }

    /// A write that began at `started` made or kept us the holder. The time that it took counts, and this
    /// process may have stood still meanwhile. Says how long to wait before the next try.
    fn hold(&mut self, started: Instant) -> Duration {
        let now = Instant::now();
        let until = started + self.timing().writable();
        if now >= until || self.leading_until.is_some_and(|until| now >= until) {
            self.lose("it was renewed too late");
            return self.timing().failure_pause();
        }
        self.fence.open_until(until);
        if self.leading_until.replace(until).is_none() {
            let term = Term {
                since: self.candidate.clock.now(),
                previous_renewal: self.seen.as_ref().and_then(Seen::renewed),
            };
            self.candidate.gauge.set(1);
            self.leadership.send_replace(Leadership::Leading(term));
            tracing::info!(lease = %self.candidate.lease, "leading");
        }
        self.timing().renewal()
    }

    fn lose(&mut self, why: &str) {
        self.fence.close();
        if self.leading_until.take().is_some() {
            self.written = None;
            self.candidate.gauge.set(0);
            self.leadership.send_replace(Leadership::Following);
            tracing::warn!(lease = %self.candidate.lease, why, "leading no more");
        }
    }

    /// Leaves the Lease without a holder if it is ours, also by a write whose answer did not come in time.
    async fn give_up(mut self) {
        let held = self.leading_until.is_some() || self.writing;
        let written = self.written.take();
        self.lose("this process stops");
        if !held {
            return;
        }
        match timeout(self.timing().request(), self.vacate(written)).await {
            Ok(Ok(())) => tracing::info!(lease = %self.candidate.lease, "released"),
            Ok(Err(error)) => {
                tracing::warn!(error = %Causes(&error), "cannot release the Lease: it expires");
            }
            Err(_) => tracing::warn!("cannot release the Lease in time: it expires"),
        }
    }

    async fn vacate(&self, written: Option<Lease>) -> kube::Result<()> {
        let name = &*self.candidate.lease.name;
        let lease = match written {
            Some(lease) => lease,
            None => self.leases.get(name).await?,
        };
        let Some(record) =
            Record::of(&lease).vacated(&self.candidate.identity, self.candidate.clock.now())
        else {
            return Ok(());
        };
        let lease = record.write_into(lease);
        self.leases
            .replace(name, &PostParams::default(), &lease)
            .await?;
        Ok(())
    }
}

/// Until `deadline`; forever without one.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Somebody else wrote the Lease between our read and our write: look again.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists())
}
