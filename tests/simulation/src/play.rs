//! One seed from its beginning to its end: storms and calms in turn.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use graph_emulator::{Control, EmulatorService, Faults, Seclusion, SubscriptionView};
use hybrid_calendar_operator::api::v1alpha1::crd;
use hybrid_calendar_operator::clock::sleep;
use jiff::Timestamp;
use memory_apiserver::MemoryApiServer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::copies::Copies;
use crate::dice::Dice;
use crate::edges::Ground;
use crate::guard::{EVERY, Guard};
use crate::mutants::Mutant;
use crate::people::People;
use crate::quiet::{self, Count};
use crate::town::{NAMESPACE, OPERATOR, Town, client_id, objects};
use crate::truth::{Truth, ours, owner};
use crate::weather::{Sky, Weather};
use crate::witness::{Invariant, Violation, Witness};
use crate::{entropy, foreign, leftovers, logs};

/// When every play begins.
const START: &str = "2027-03-01T00:00:00Z";

/// How often it is looked whether everything is true.
const LOOK: Duration = Duration::from_mins(5);

/// After the last fault everything is true within this time: tokens live up to 90 minutes, and a problem is looked at every
/// hour, a quarter more or less.
const CONVERGENCE: Duration = Duration::from_hours(4);

/// Before anything ever went wrong it takes no longer than this.
const BEGINNING: Duration = Duration::from_mins(15);

/// After that, what is under way comes to its end.
const SETTLING: Duration = Duration::from_mins(15);

/// So long it has to be quiet: at least, and at most.
const QUIET: Range<Duration> = Duration::from_mins(30)..Duration::from_hours(2);

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Everything follows from this.
    pub seed: u64,
    /// How long, at least; 0 ends when everything is true for the first time.
    pub hours: u64,
    /// How many mailboxes at the start.
    pub mailboxes: usize,
    /// A mistake to be found.
    pub mutant: Option<Mutant>,
    /// Whether everything that happens is printed.
    pub aloud: bool,
    /// What happens besides.
    pub course: Course,
}

/// What happens while the operator works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Course {
    /// Storms and calms in turn
    #[default]
    Storms,
    /// Calms only
    Calm,
    /// Nothing at all, with the defaults in every spec; what is counted begins when everything has settled
    Steady,
}

/// How it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the settings.
    pub seed: u64,
    /// How long it was in the play, in seconds; of a steady course, how long was counted.
    pub seconds: u64,
    /// Of the settings.
    pub mailboxes: usize,
    /// What was counted.
    pub tally: BTreeMap<String, u64>,
    /// Of everything that happened: the same for the same seed.
    pub digest: String,
    /// The first invariant that was broken.
    pub violation: Option<Violation>,
}

/// Plays one seed. Once in a process: what came before would change what comes.
///
/// # Panics
/// When the simulation itself is wrong.
#[must_use]
pub fn play(settings: Settings) -> Outcome {
    entropy::seed(settings.seed);
    // A thread that begins now has hash maps whose keys follow from the seed.
    let playing = std::thread::spawn(move || {
        entropy::seed_thread(settings.seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without sockets");
        runtime.block_on(whole(settings))
    });
    playing.join().expect("the play itself does not panic")
}

async fn whole(settings: Settings) -> Outcome {
    let witness = Witness::new(settings.aloud);
    let _logs = logs::listen(&witness);
    let mut stage = Stage::new(settings, witness.clone());
    let lives = stage.copies.start(&stage.ground);
    let others = stage.others();
    tokio::select! {
        () = stage.play() => {}
        () = witness.broken() => {}
    }
    drop((lives, others));
    let refused = stage.ground.server.not_imitated();
    assert!(
        refused.is_empty(),
        "the API server does not imitate {refused:?}"
    );
    let (tally, digest, violation) = witness.end();
    Outcome {
        seed: settings.seed,
        seconds: match settings.course {
            Course::Storms | Course::Calm => witness.elapsed().as_secs(),
            Course::Steady => 3600 * settings.hours,
        },
        mailboxes: settings.mailboxes,
        tally,
        digest,
        violation,
    }
}

/// Everything that there is.
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    pub(crate) dice: Dice,
    pub(crate) sky: Sky,
    pub(crate) copies: Copies,
    pub(crate) ground: Ground,
    pub(crate) graph: Control,
    pub(crate) people: People,
    pub(crate) town: Arc<Mutex<Town>>,
    pub(crate) guard: Arc<Mutex<Guard>>,
    pub(crate) witness: Witness,
}

impl Stage {
    fn new(settings: Settings, witness: Witness) -> Self {
        let dice = |purpose: &str| Dice::new(settings.seed, purpose);
        let sky = Sky::new(dice("weather"));
        let copies = Copies::new(sky.clone(), witness.clone(), dice("copies"));
        let plain = settings.course == Course::Steady;
        let mut town = Town::new(settings.mailboxes, plain);
        let start: Timestamp = START.parse().expect("a time");
        let graph = EmulatorService::secluded(
            town.world(settings.mailboxes),
            Seclusion {
                seed: settings.seed,
                start,
                outgoing: copies.outgoing(),
            },
        );
        let graph = graph.expect("the world is well-formed");
        let control = graph.control();
        let clock = control.clone();
        let server = MemoryApiServer::seeded(settings.seed, move || clock.now());
        furnish(&server, &mut town, &witness);
        Self {
            people: People {
                dice: dice("people"),
                server: server.clone(),
                graph: control.clone(),
                witness: witness.clone(),
                rooms: Town::rooms(settings.mailboxes),
            },
            ground: Ground {
                server,
                graph,
                witness: witness.clone(),
                mutant: settings.mutant,
            },
            settings,
            dice: dice("course"),
            sky,
            copies,
            graph: control,
            town: Arc::new(Mutex::new(town)),
            guard: Arc::default(),
            witness,
        }
    }

    pub(crate) fn town(&self) -> MutexGuard<'_, Town> {
        self.town.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes on all the time.
    fn others(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let secrets: Vec<String> = {
            let town = self.town();
            let tenants = town.tenants.iter();
            tenants.map(|tenant| tenant.secret.clone()).collect()
        };
        tasks.spawn(foreign::live(
            self.ground.graph.clone(),
            self.witness.clone(),
            secrets.len(),
            move |tenant| secrets[tenant].clone(),
        ));
        let (guard, town) = (Arc::clone(&self.guard), Arc::clone(&self.town));
        let (graph, witness) = (self.graph.clone(), self.witness.clone());
        let copies = self.copies.clone();
        tasks.spawn(async move {
            for minute in 1_u64.. {
                sleep(EVERY).await;
                let town = town.lock().unwrap_or_else(PoisonError::into_inner);
                let mut guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
                guard.look(&town, &graph, &witness);
                copies.look_for_panics();
                if minute % 360 == 0 {
                    copies.look_at_all_metrics();
                }
            }
        });
        tasks
    }

    async fn play(&mut self) {
        if self.settings.course == Course::Steady {
            return self.stay().await;
        }
        let end = Duration::from_hours(self.settings.hours);
        self.calm(BEGINNING).await;
        while self.witness.elapsed() < end {
            if self.settings.course == Course::Storms {
                self.storm().await;
            }
            self.calm(CONVERGENCE).await;
        }
    }

    /// Everything becomes true and settles; from then on it is counted what is done.
    async fn stay(&self) {
        if !self.converge(BEGINNING).await {
            return;
        }
        sleep(SETTLING).await;
        self.witness.forget_counts();
        let before = self.granted();
        sleep(Duration::from_hours(self.settings.hours)).await;
        let granted = self.granted() - before;
        self.witness
            .count_many("subscriptions made or renewed", granted);
    }

    /// Nothing goes wrong any more: everything becomes true, and then quiet.
    async fn calm(&self, patience: Duration) {
        self.sky.set(Weather::default());
        self.graph.set_faults(Faults::default());
        self.copies.calm_down(self.graph.now());
        self.guard().weather(true, &self.witness);
        self.witness.note(format_args!("a calm begins"));
        let began = Instant::now();
        if !self.converge(patience).await {
            return;
        }
        if self.settings.hours == 0 {
            return;
        }
        if !self.is_short() || patience == BEGINNING {
            self.leave_something().await;
        }
        sleep(SETTLING).await;
        self.quiet(began, patience).await;
        let differences = self.differences();
        if let Some(first) = differences.first() {
            let what = format!("no longer: {} differences: {first}", differences.len());
            self.witness.violate(Invariant::Converged, what);
        }
    }

    /// Whether everything becomes true in time, which is an invariant.
    async fn converge(&self, patience: Duration) -> bool {
        let began = Instant::now();
        let mut differences = Vec::new();
        let converging = async {
            loop {
                differences = self.differences();
                let Some(first) = differences.first() else {
                    break;
                };
                let count = differences.len();
                self.witness
                    .note(format_args!("{count} differences, such as: {first}"));
                sleep(LOOK).await;
            }
        };
        if timeout(patience, converging).await.is_err() {
            let few: Vec<&str> = differences.iter().take(5).map(String::as_str).collect();
            let what = format!("{} differences: {}", differences.len(), few.join("; "));
            self.witness.violate(Invariant::Converged, what);
            return false;
        }
        let took = began.elapsed().as_secs();
        self.witness
            .note(format_args!("everything is true after {took} s"));
        self.witness.raise("longest convergence, seconds", took);
        true
    }

    /// A copy leaves something behind that is swept.
    async fn leave_something(&self) {
        let mut chosen = None;
        {
            let town = self.town();
            let truth = Truth::now(&town, &self.graph);
            let healthy: Vec<&str> = truth.healthy().map(|model| &*model.uid).collect();
            let living = ours(&self.graph, &self.witness);
            let of_healthy = living.iter().filter(|one| healthy.contains(&owner(one)));
            let of_healthy: Vec<&SubscriptionView> = of_healthy.collect();
            if let Some(one) = self.dice.one(&of_healthy) {
                let tenant =
                    (0..town.tenants.len()).find(|tenant| client_id(*tenant) == one.client_id);
                let tenant = tenant.unwrap_or_default();
                let secret = town.tenants[tenant].secret.clone();
                chosen = Some(((*one).clone(), tenant, secret));
            }
        }
        let Some((one, tenant, secret)) = chosen else {
            return;
        };
        leftovers::leave(&self.ground.graph, &self.witness, &one, (tenant, &secret)).await;
        sleep(2 * EVERY).await;
        // Who does not sweep breaks an invariant in time.
        while self.guard().has_surplus() {
            sleep(EVERY).await;
        }
    }

    /// Nobody writes anything without a cause: some time after the last fault at the latest, since what a status tells
    /// besides may follow a token that lives for a while.
    async fn quiet(&self, began: Instant, patience: Duration) {
        loop {
            let late = began.elapsed() >= patience;
            let Some(noise) = self.noise().await else {
                return;
            };
            if late {
                self.witness.violate(Invariant::Quiet, noise);
                return;
            }
            self.witness.note(format_args!("not quiet yet: {noise}"));
        }
    }

    /// What was written for a while without a cause.
    async fn noise(&self) -> Option<String> {
        let before = self.count();
        let quiet = self.dice.within(QUIET);
        sleep(if self.is_short() { QUIET.start } else { quiet }).await;
        quiet::noise(&before, &self.count())
    }

    fn count(&self) -> Count {
        Count {
            at: self.graph.now(),
            written: self.witness.written(),
            granted: self.granted(),
            named: quiet::named(objects(&self.ground.server, "WorkspaceMailbox")),
        }
    }

    /// Of less than a day: a test waits for it.
    pub(crate) const fn is_short(&self) -> bool {
        self.settings.hours < 24
    }

    /// How often Graph granted a subscription, new or longer.
    fn granted(&self) -> u64 {
        let counts = self.graph.counts();
        counts.with_status("createSubscription", 201) + counts.with_status("renewSubscription", 200)
    }

    fn differences(&self) -> Vec<String> {
        let town = self.town();
        let server = &self.ground.server;
        let objects = (
            &*objects(server, "CalendarTenant"),
            &*objects(server, "WorkspaceMailbox"),
        );
        let subscriptions = ours(&self.graph, &self.witness);
        Truth::now(&town, &self.graph).differences(objects, &subscriptions)
    }
}

/// Puts everything into the cluster that people declare at first.
fn furnish(server: &MemoryApiServer, town: &mut Town, witness: &Witness) {
    for definition in crd::all() {
        server.install(&definition);
    }
    let create = |object| {
        let created = server.create(object);
        created.expect("what is declared at first is well-formed");
    };
    for namespace in [NAMESPACE, OPERATOR] {
        create(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
        }));
    }
    for tenant in 0..town.tenants.len() {
        witness.secret(&town.tenants[tenant].secret);
        create(town.secret_object(tenant));
        create(town.tenant_object(tenant));
    }
    let names: Vec<String> = town.mailboxes.keys().cloned().collect();
    for name in names {
        town.apply(server, &name);
    }
}
