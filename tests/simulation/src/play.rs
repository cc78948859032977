//! One seed from its beginning to its end: storms and calms in turn.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use graph_emulator::{Control, EmulatorService, Faults, Seclusion};
use hybrid_calendar_operator::api::v1alpha1::crd;
use hybrid_calendar_operator::clock::sleep;
use jiff::{SignedDuration, Timestamp};
use memory_apiserver::MemoryApiServer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::copies::{COPIES, Copies};
use crate::dice::Dice;
use crate::edges::Ground;
use crate::guard::{EVERY, Guard};
use crate::link::Point;
use crate::mutants::Mutant;
use crate::people::People;
use crate::town::{NAMESPACE, OPERATOR, Town, objects};
use crate::truth::{Truth, ours};
use crate::weather::{self, Sky, Weather};
use crate::witness::{Invariant, Violation, Witness};
use crate::{entropy, foreign, logs};

/// When every play begins.
const START: &str = "2027-03-01T00:00:00Z";

/// How often it is looked whether everything is true.
const LOOK: Duration = Duration::from_mins(5);

/// After the last fault everything is true within this time: tokens live up to 90 minutes, and a problem is looked at every
/// hour, a quarter more or less.
const CONVERGENCE: Duration = Duration::from_hours(4);

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
    /// Whether there are storms.
    pub storms: bool,
}

/// How it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the settings.
    pub seed: u64,
    /// How long it was in the play, in seconds.
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
        seconds: witness.elapsed().as_secs(),
        mailboxes: settings.mailboxes,
        tally,
        digest,
        violation,
    }
}

/// Everything that there is.
struct Stage {
    settings: Settings,
    dice: Dice,
    sky: Sky,
    copies: Copies,
    ground: Ground,
    graph: Control,
    people: People,
    town: Arc<Mutex<Town>>,
    guard: Arc<Mutex<Guard>>,
    witness: Witness,
}

impl Stage {
    fn new(settings: Settings, witness: Witness) -> Self {
        let dice = |purpose: &str| Dice::new(settings.seed, purpose);
        let sky = Sky::new(dice("weather"));
        let copies = Copies::new(sky.clone(), witness.clone(), dice("copies"));
        let mut town = Town::new(settings.mailboxes);
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

    fn town(&self) -> MutexGuard<'_, Town> {
        self.town.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
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
        let end = Duration::from_hours(self.settings.hours);
        self.calm().await;
        while self.witness.elapsed() < end {
            if self.settings.storms {
                self.storm().await;
            }
            self.calm().await;
        }
    }

    /// People edit everything, and everything fails.
    async fn storm(&self) {
        let longest = if self.is_short() { 1 } else { 6 };
        let length = self
            .dice
            .within(Duration::from_mins(30)..Duration::from_hours(longest));
        let violence = self.dice.share() * 0.5;
        let pace = self
            .dice
            .within(Duration::from_mins(1)..Duration::from_mins(10));
        let (weather, faults) = (weather::storm(&self.dice), weather::faults(&self.dice));
        self.witness.note(format_args!(
            "a storm begins: {weather:?} {faults:?} violence {violence}"
        ));
        self.witness.count("storms");
        self.sky.set(weather);
        self.graph.set_faults(faults);
        let mut pauses = JoinSet::new();
        let end = Instant::now() + length;
        while Instant::now() < end {
            sleep(self.dice.about(pace)).await;
            if self.dice.chance(violence) {
                self.hurt(&mut pauses);
            } else {
                let mut town = self.town();
                self.people.edit(&mut town);
                self.guard().changed(&town, &self.graph, &self.witness);
            }
        }
    }

    /// Something happens to a copy.
    fn hurt(&self, pauses: &mut JoinSet<()>) {
        let copy = self.dice.below(COPIES);
        let count = u32::try_from(self.dice.below(40)).unwrap_or_default();
        match self.dice.below(6) {
            0 => self.copies.kill(copy),
            1 => self.copies.kill_at(copy, Point::BeforeRequest, count),
            2 => self.copies.kill_at(copy, Point::AfterEffect, count),
            3 => self.copies.order_stop(copy),
            4 => {
                let pause = self
                    .dice
                    .within(Duration::from_secs(1)..Duration::from_secs(90));
                self.witness.count("pauses");
                let copies = self.copies.clone();
                pauses.spawn(async move { copies.pause(copy, pause).await });
            }
            _ => {
                let far = if self.dice.chance(0.2) { 10_000 } else { 300 };
                let seconds = i64::try_from(self.dice.below(2 * far)).unwrap_or_default();
                let far = i64::try_from(far).unwrap_or_default();
                let ahead = SignedDuration::from_secs(seconds - far);
                self.witness
                    .note(format_args!("the clock of copy-{copy} is {ahead:?} ahead"));
                self.witness.count("clock jumps");
                self.copies.set_clock(copy, self.graph.now(), ahead);
            }
        }
    }

    /// Nothing goes wrong any more: everything becomes true, and then quiet.
    async fn calm(&self) {
        self.sky.set(Weather::default());
        self.graph.set_faults(Faults::default());
        self.copies.calm_down(self.graph.now());
        self.witness.note(format_args!("a calm begins"));
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
        if timeout(CONVERGENCE, converging).await.is_err() {
            let few: Vec<&str> = differences.iter().take(5).map(String::as_str).collect();
            let what = format!("{} differences: {}", differences.len(), few.join("; "));
            self.witness.violate(Invariant::Converged, what);
            return;
        }
        let took = began.elapsed().as_secs();
        self.witness
            .note(format_args!("everything is true after {took} s"));
        self.witness.raise("longest convergence, seconds", took);
        if self.settings.hours == 0 {
            return;
        }
        sleep(SETTLING).await;
        let (written, granted) = (self.witness.written(), self.granted());
        let quiet = self.dice.within(QUIET);
        sleep(if self.is_short() { QUIET.start } else { quiet }).await;
        let (written, granted) = (self.witness.written() - written, self.granted() - granted);
        if written > granted {
            let what = format!("{written} writes while Graph granted {granted} subscriptions");
            self.witness.violate(Invariant::Quiet, what);
        }
        let differences = self.differences();
        if let Some(first) = differences.first() {
            let what = format!("no longer: {} differences: {first}", differences.len());
            self.witness.violate(Invariant::Converged, what);
        }
    }

    /// Of less than a day: a test waits for it.
    const fn is_short(&self) -> bool {
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
