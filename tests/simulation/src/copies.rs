//! Copies of the operator: each lives, dies and is started again, as a Deployment would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use graph_emulator::Outgoing;
use http::{Request, Response};
use hybrid_calendar_operator::admin::Requirement;
use hybrid_calendar_operator::carrier::{Carried, Carrier, Lost};
use hybrid_calendar_operator::clock::{Clock, sleep};
use hybrid_calendar_operator::config::flags::Flags;
use hybrid_calendar_operator::config::{Config, MetricsDetail};
use hybrid_calendar_operator::metrics::Metrics;
use hybrid_calendar_operator::process::{Edges, Inside, Process};
use jiff::SignedDuration;
use prometheus::TextEncoder;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{BoxError, ServiceExt, service_fn};

use crate::dice::Dice;
use crate::edges::{self, Ground};
use crate::foreign;
use crate::link::{Link, NoAnswer, Point};
use crate::town::{OPERATOR, RECEIVER};
use crate::weather::{Sky, Way};
use crate::witness::{Invariant, Witness};

/// So many copies run, as the chart installs.
pub(crate) const COPIES: usize = 2;

/// Between readiness and the closing of the socket, as in the program.
const DRAIN: Duration = Duration::from_secs(15);

/// How often copies have a Lease as it is by default. Elsewhere they have the longest that can be set: to renew a short one is
/// most of what a quiet day costs.
const DEFAULT_LEASE: f64 = 0.25;

/// A copy that runs.
#[derive(Clone)]
struct Running {
    link: Arc<Link>,
    inside: Inside,
    receiver: Router,
    forwarded: Router,
}

/// Asked of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Live,
    /// SIGTERM.
    Stop,
}

struct Slot {
    running: Mutex<Option<Running>>,
    order: watch::Sender<Order>,
}

/// All copies. Clones share them.
#[derive(Clone)]
pub(crate) struct Copies {
    slots: Arc<[Slot; COPIES]>,
    sky: Sky,
    witness: Witness,
    dice: Dice,
    config: Arc<Config>,
}

impl std::fmt::Debug for Copies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copies").finish_non_exhaustive()
    }
}

/// Where the copy of this number takes wakes.
fn wakes_at(number: usize) -> SocketAddr {
    let last = u8::try_from(number).unwrap_or_default();
    SocketAddr::from(([10, 0, 0, last], 9091))
}

impl Copies {
    pub(crate) fn new(sky: Sky, witness: Witness, dice: Dice) -> Self {
        let lease = if dice.chance(DEFAULT_LEASE) {
            "15s"
        } else {
            "1m"
        };
        let slot = || Slot {
            running: Mutex::default(),
            order: watch::Sender::new(Order::Live),
        };
        Self {
            slots: Arc::new(std::array::from_fn(|_| slot())),
            sky,
            witness,
            dice,
            config: Arc::new(config(lease)),
        }
    }

    fn running(&self, number: usize) -> MutexGuard<'_, Option<Running>> {
        let slot = &self.slots[number].running;
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs all copies until dropped.
    pub(crate) fn start(&self, ground: &Ground) -> JoinSet<()> {
        let mut lives = JoinSet::new();
        for number in 0..COPIES {
            lives.spawn(self.clone().keep_alive(number, ground.clone()));
        }
        lives
    }

    async fn keep_alive(self, number: usize, ground: Ground) {
        for life in 1_u32.. {
            self.live(number, life, &ground).await;
            // As long as a container takes to start again.
            sleep(
                self.dice
                    .within(Duration::from_secs(1)..Duration::from_secs(40)),
            )
            .await;
        }
    }

    async fn live(&self, number: usize, life: u32, ground: &Ground) {
        let name = format!("copy-{number}.{life}");
        self.witness.note(format_args!("{name} starts"));
        let link = Link::new(name, self.sky.clone(), self.witness.clone());
        let link = Arc::new(link);
        let clock = Clock::starting_at(ground.graph.control().now());
        let metrics = Metrics::new().expect("names of metrics are used once");
        let host = Some(format!("copy-{number}"));
        let inside = Inside::new(metrics, clock, host, MetricsDetail::Object);
        let inside = inside.expect("names of metrics are used once");
        let (listening, listens) = watch::channel(true);
        inside.readiness.met(Requirement::Receiver);
        *self.running(number) = Some(Running {
            link: Arc::clone(&link),
            receiver: inside.receiver(),
            forwarded: inside.forwarded(),
            inside: inside.clone(),
        });
        let edges = Edges {
            cluster: edges::cluster(ground, &link),
            lease: edges::lease(ground, &link),
            microsoft: edges::microsoft(ground, &link),
            copies: self.carrier(&link),
            reached_at: Some(wakes_at(number)),
            listening: listens,
        };
        let mut process = Process::start(&self.config, &inside, edges);
        let mut order = self.slots[number].order.subscribe();
        tokio::select! {
            () = link.death() => self.witness.count("crashes"),
            () = asked_to_stop(&mut order) => {
                self.stop(number, &inside, process).await;
            }
            ended = process.ended() => {
                let what = format!("{} ended by itself: {ended:?}", link.name);
                self.witness.violate(Invariant::NoPanic, what);
            }
        }
        link.kill();
        *self.running(number) = None;
        drop(listening);
        self.look_at_metrics(&inside);
    }

    /// As the program does at SIGTERM.
    async fn stop(&self, number: usize, inside: &Inside, mut process: Process) {
        self.witness.count("orderly restarts");
        inside.readiness.unmet(Requirement::Receiver, "stopping");
        let drain = async {
            sleep(DRAIN).await;
            *self.running(number) = None;
        };
        let (ended, ()) = tokio::join!(process.finish(), drain);
        if let Err(why) = ended {
            self.witness.violate(
                Invariant::NoPanic,
                format!("copy-{number} ended with {why}"),
            );
        }
        process.last_wakes().await;
        self.slots[number].order.send_replace(Order::Live);
    }

    /// SIGTERM.
    pub(crate) fn order_stop(&self, number: usize) {
        self.slots[number].order.send_replace(Order::Stop);
    }

    /// `kill -9`, here and now.
    pub(crate) fn kill(&self, number: usize) {
        if let Some(running) = &*self.running(number) {
            self.witness
                .note(format_args!("{} is killed", running.link.name));
            running.link.kill();
        }
    }

    /// `kill -9` at one of its next requests.
    pub(crate) fn kill_at(&self, number: usize, point: Point, count: u32) {
        if let Some(running) = &*self.running(number) {
            running.link.arm(point, count);
        }
    }

    /// Stands still for a while: nothing leaves it and nothing reaches it.
    pub(crate) async fn pause(&self, number: usize, pause: Duration) {
        let link = self
            .running(number)
            .as_ref()
            .map(|one| Arc::clone(&one.link));
        let Some(link) = link else { return };
        self.witness
            .note(format_args!("{} stands still for {pause:?}", link.name));
        link.stand_still();
        sleep(pause).await;
        link.go_on();
    }

    /// Sets the clock of a copy to be ahead of Graph's by so much.
    pub(crate) fn set_clock(&self, number: usize, now: jiff::Timestamp, ahead: SignedDuration) {
        if let Some(running) = &*self.running(number) {
            let wall = now.saturating_add(ahead).unwrap_or(now);
            running.inside.clock.set(wall);
        }
    }

    /// How long a Lease lasts.
    pub(crate) fn lease(&self) -> Duration {
        self.config.lease_timing.duration()
    }

    /// Somebody else takes the Lease, and does nothing.
    pub(crate) fn take_lease(&self, ground: &Ground) {
        let name = "hybrid-calendar-operator";
        let somebody = "somebody_else";
        let change = json!({"spec": {"holderIdentity": somebody}});
        // There is none at the very beginning.
        if ground
            .server
            .patch(("Lease", OPERATOR, name), change)
            .is_ok()
        {
            self.witness.leads(Some(somebody));
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm_down(&self, now: jiff::Timestamp) {
        for number in 0..COPIES {
            if let Some(running) = &*self.running(number) {
                running.link.disarm();
                running.link.go_on();
                running.inside.clock.set(now);
            }
        }
    }

    /// Looks for secrets and panics in what Prometheus would read.
    pub(crate) fn look_at_all_metrics(&self) {
        for number in 0..COPIES {
            let inside = self.running(number).as_ref().map(|one| one.inside.clone());
            if let Some(inside) = inside {
                self.look_at_metrics(&inside);
            }
        }
    }

    fn look_at_metrics(&self, inside: &Inside) {
        let families = inside.metrics.registry.gather();
        let text = TextEncoder::new().encode_to_string(&families);
        self.witness
            .read_impersonal("the metrics", &text.unwrap_or_default());
        self.look_for_panics_in(inside);
        if inside.metrics.wake_lost.get() > 0 {
            self.witness.count("wakes lost");
        }
    }

    /// Looks whether a pass panicked.
    pub(crate) fn look_for_panics(&self) {
        for number in 0..COPIES {
            let inside = self.running(number).as_ref().map(|one| one.inside.clone());
            if let Some(inside) = inside {
                self.look_for_panics_in(&inside);
            }
        }
    }

    fn look_for_panics_in(&self, inside: &Inside) {
        let panics = inside.metrics.reconcile_panics.get();
        if panics > 0 {
            self.witness
                .violate(Invariant::NoPanic, format!("{panics} passes panicked"));
        }
    }

    /// The way from a copy to the others.
    fn carrier(&self, link: &Arc<Link>) -> Carrier {
        let (copies, link) = (self.clone(), Arc::clone(link));
        Carrier::new(service_fn(move |request: Request<Vec<u8>>| {
            let (copies, link) = (copies.clone(), Arc::clone(&link));
            async move { copies.forward(&link, request).await }
        }))
    }

    async fn forward(&self, link: &Link, request: Request<Vec<u8>>) -> Result<Carried, Lost> {
        let authority = request.uri().authority().map(ToString::to_string);
        let to = (0..COPIES).find(|number| Some(wakes_at(*number).to_string()) == authority);
        let answered = link.carry(Way::Copies, async {
            let other = to.and_then(|number| self.running(number).clone())?;
            if other.link.is_dead() {
                return None;
            }
            other.forwarded.oneshot(request.map(Body::from)).await.ok()
        });
        match answered.await {
            Ok(Some(response)) => {
                self.witness.count("messages between copies");
                let mut answer = Response::new(Vec::new());
                *answer.status_mut() = response.status();
                Ok(Carried::now(answer))
            }
            Ok(None) | Err(NoAnswer::Refused) => Err(Lost::Connect),
            Err(NoAnswer::Cut | NoAnswer::Failing) => Err(Lost::Cut),
        }
    }

    /// The way from Graph to whichever copy the load balancer chooses.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let copies = self.clone();
        Outgoing::new(service_fn(move |request: Request<Bytes>| {
            let copies = copies.clone();
            async move { copies.receive(request).await }
        }))
    }

    async fn receive(&self, request: Request<Bytes>) -> Result<Response<Body>, BoxError> {
        let url = request.uri().to_string();
        if !url.starts_with(RECEIVER) {
            return Ok(foreign::receive(&url));
        }
        let ready: Vec<Running> = (0..COPIES)
            .filter_map(|number| self.running(number).clone())
            .filter(|running| running.inside.readiness.is_ready() && !running.link.is_dead())
            .collect();
        let chosen = self.dice.one(&ready).ok_or("no copy is ready")?.clone();
        let answered = chosen.link.carry(
            Way::Notifications,
            chosen.receiver.oneshot(request.map(Body::from)),
        );
        match answered.await {
            Ok(Ok(response)) => {
                self.witness.count("notifications and handshakes");
                Ok(response)
            }
            Ok(Err(never)) => match never {},
            Err(why) => Err(format!("{why:?}").into()),
        }
    }
}

async fn asked_to_stop(order: &mut watch::Receiver<Order>) {
    // Whoever gives orders lives longer than a copy.
    let _ = order.wait_for(|order| *order == Order::Stop).await;
}

fn config(lease: &str) -> Config {
    let flags = Flags {
        advertise_address: Some("10.0.0.1".to_owned()),
        lease_duration: lease.to_owned(),
        ..Flags::for_defaults(RECEIVER)
    };
    Config::new(&flags, OPERATOR).expect("the flags are good")
}
