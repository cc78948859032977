//! `make simulate`: plays many seeds, each in a process of its own, and prints what they came to.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use simulation::mutants::Mutant;
use simulation::play::{Course, Outcome, Settings, play};
use simulation::report;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Months of the whole operator in minutes, with everything that goes wrong, from one seed
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// How many seeds, from --first on.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many days, at least.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// How many hours, instead; 0 ends when everything is true for the first time.
    #[arg(long)]
    hours: Option<u64>,
    /// How many mailboxes at the start.
    #[arg(long, default_value_t = 30)]
    mailboxes: usize,
    /// Only this seed, with everything that happens on standard error.
    #[arg(long)]
    seed: Option<u64>,
    /// What happens while the operator works.
    #[arg(long, value_enum, default_value_t)]
    course: Course,
    /// A deliberate mistake, which has to be found.
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
    /// Look for each deliberate mistake, in --seeds seeds at most; fail if one is not found.
    #[arg(long)]
    mistakes: bool,
    /// Say nothing but the outcome, as JSON: how the program calls itself for each seed.
    #[arg(long, hide = true)]
    json: bool,
}

impl Arguments {
    fn hours(&self) -> u64 {
        self.hours.unwrap_or(24 * self.days)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(&arguments, seed),
        None if arguments.mistakes => mistakes(&arguments),
        None => many(&arguments),
    }
}

fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    let began = now();
    let outcome = play(Settings {
        seed,
        hours: arguments.hours(),
        mailboxes: arguments.mailboxes,
        mutant: arguments.mutant,
        aloud: !arguments.json,
        course: arguments.course,
    });
    let text = if arguments.json {
        serde_json::to_string(&outcome).unwrap_or_default()
    } else {
        let wall = now().duration_since(began).as_secs();
        report::text(std::slice::from_ref(&outcome), wall, |seed| {
            repeat(arguments, seed)
        })
    };
    say(&text);
    code(std::slice::from_ref(&outcome))
}

/// As many at a time as there are processors.
fn many(arguments: &Arguments) -> ExitCode {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.seeds;
    let outcomes = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let began = now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        break;
                    }
                    let outcome = in_a_process(arguments, seed);
                    if let Ok(outcome) = &outcome {
                        tell(outcome);
                    }
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(outcome) => outcomes.push(outcome),
                        Err(error) => say(&format!("seed {seed} could not be played: {error}")),
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|one: &Outcome| one.seed);
    let wall = now().duration_since(began).as_secs();
    say(&report::text(&outcomes, wall, |seed| {
        repeat(arguments, seed)
    }));
    if outcomes.len() as u64 == arguments.seeds {
        code(&outcomes)
    } else {
        ExitCode::FAILURE
    }
}

/// How a seed ended, as soon as it did.
fn tell(outcome: &Outcome) {
    let (seed, days) = (outcome.seed, outcome.seconds / 86_400);
    let how = match &outcome.violation {
        None => "everything held".to_owned(),
        Some(violation) => format!("{:?}: {}", violation.invariant, violation.detail),
    };
    // Nobody is left to be told of an error.
    let _ = writeln!(std::io::stderr(), "seed {seed}, {days} days: {how}");
}

/// Which seed finds each mistake.
fn mistakes(arguments: &Arguments) -> ExitCode {
    let mut all_found = true;
    for mutant in Mutant::ALL {
        let arguments = Arguments {
            mutant: Some(*mutant),
            ..arguments.clone()
        };
        let mut seeds = arguments.first..arguments.first + arguments.seeds;
        let found = seeds.find_map(|seed| {
            let violation = in_a_process(&arguments, seed).ok()?.violation?;
            let is_it = mutant.breaks() == violation.invariant;
            is_it.then_some((seed, violation))
        });
        let line = match &found {
            Some((seed, violation)) => format!(
                "{:<20} {:?} by seed {seed} after {} minutes",
                name(mutant),
                violation.invariant,
                violation.at.div_ceil(60)
            ),
            None => format!("{:<20} NOT FOUND by {:?}", name(mutant), mutant.breaks()),
        };
        say(&line);
        all_found &= found.is_some();
    }
    if all_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(clippy::disallowed_methods, reason = "how long it took, for people")]
fn now() -> Instant {
    Instant::now()
}

fn in_a_process(arguments: &Arguments, seed: u64) -> Result<Outcome, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["--json", "--seed", &seed.to_string()]);
    command.args(["--hours", &arguments.hours().to_string()]);
    command.args(["--mailboxes", &arguments.mailboxes.to_string()]);
    command.args(["--course", &name(&arguments.course)]);
    if let Some(mutant) = arguments.mutant {
        command.args(["--mutant", &name(&mutant)]);
    }
    // A mistake that panics on purpose says so.
    let errors = if arguments.mutant.is_some() {
        Stdio::null()
    } else {
        Stdio::inherit()
    };
    let output = command.stderr(errors).output();
    let output = output.map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}; it ended with {}", output.status))
}

fn name(value: &impl clap::ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn repeat(arguments: &Arguments, seed: u64) -> String {
    let course = match arguments.course {
        Course::Storms => String::new(),
        course @ (Course::Calm | Course::Steady) => format!(" COURSE={}", name(&course)),
    };
    let mutant = arguments
        .mutant
        .as_ref()
        .map_or_else(String::new, |mutant| format!(" MUTANT={}", name(mutant)));
    format!(
        "make simulate SEED={seed} HOURS={} MAILBOXES={}{course}{mutant}",
        arguments.hours(),
        arguments.mailboxes
    )
}

fn say(text: &str) {
    // Nobody is left to be told of an error.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn code(outcomes: &[Outcome]) -> ExitCode {
    if outcomes.iter().all(|one| one.violation.is_none()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
