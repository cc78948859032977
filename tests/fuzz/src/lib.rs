//! Feeds whatever reads bytes from outside with broken input, and holds it to properties.
//!
//! A [`Target`] takes valid examples and earlier finds from `corpus/NAME`, breaks them in the ways of [`change`] and
//! calls a property, which panics when it does not hold. Every input also has limits of its own: processor time and
//! memory, in proportion to its length. What fails is made as small as it gets and shown in hexadecimal.
//!
//! Without being asked for more, a run is short and always the same: all of the corpus, then so many inputs from one
//! seed. With `HYBRID_CALENDAR_FUZZ_SECONDS` it goes on for that long with ever new seeds, and keeps what fails in the
//! corpus. `HYBRID_CALENDAR_FUZZ_SEED` begins with that seed. There is no guidance by coverage: that takes a compiler
//! that is not stable.

mod bounds;
mod change;
mod corpus;
pub mod message;
mod report;
pub mod shown;
mod smallest;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::Duration;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use bounds::{Bounds, cpu_time, time};
use change::{Recipe, recipes};
use corpus::{Corpus, Running};

/// Inputs of a short run, unless a target says otherwise.
const CASES: u32 = 400;

/// The seed of a short run.
const SEED: u64 = 1;

/// Inputs of one seed, when there are many seeds.
const BATCH: u32 = 500;

/// Longest input of a short and of a long run.
const SHORT_INPUT: usize = 64 * 1024;
const LONG_INPUT: usize = 1024 * 1024;

/// Milliseconds in which a failing input is made smaller: what fails because it takes long is found by few attempts.
const LONGEST_SEARCH: u32 = 10_000;

/// Attempts to make a failing input smaller.
const ATTEMPTS: u32 = 3_000;

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    name: &'static str,
    words: &'static [&'static str],
    cases: u32,
    bounds: Bounds,
}

impl Target {
    /// The target whose examples are in `corpus/NAME`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            words: &[],
            cases: CASES,
            bounds: Bounds::USUAL,
        }
    }

    /// Words that mean something to this target, to be put anywhere.
    #[must_use]
    pub const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// How many inputs a short run has, where one takes longer or tells more than usual.
    #[must_use]
    pub const fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// How many bytes of memory a byte of input may take, where the usual 128 are too few.
    #[must_use]
    pub const fn memory_per_byte(mut self, bytes: u64) -> Self {
        self.bounds.memory_per_byte = bytes;
        self
    }

    /// Tries the property on the corpus, and then on what becomes of it.
    ///
    /// # Panics
    /// When there is an input for which the property does not hold: with everything that is needed to find it again.
    pub fn run(&self, property: impl Fn(&[u8])) {
        keep_panics_quiet();
        let begun = time();
        let corpus = Corpus::read(self.name);
        let attempt = Attempt {
            target: self,
            property: &property,
            running: Running::begin(self.name),
            count: Cell::new(0),
        };
        for (name, input) in attempt.running.left_over().iter().chain(&corpus.inputs) {
            if let Err(why) = attempt.once(input) {
                attempt.running.end();
                panic!("{}", report::known(self.name, name, input, &why));
            }
        }
        match (environment("SECONDS"), environment("SEED")) {
            (None, None) => self.batch(&attempt, &corpus, (SEED, self.cases, SHORT_INPUT)),
            (None, Some(seed)) => self.batch(&attempt, &corpus, (seed, BATCH, LONG_INPUT)),
            (Some(seconds), seed) => self.go_on(&attempt, &corpus, (seconds, seed)),
        }
        attempt.running.end();
        let took = time().saturating_sub(begun).as_secs_f64();
        let count = f64::from(attempt.count.get());
        eprintln!(
            "{}: {count} inputs, {:.0} a second",
            self.name,
            count / took
        );
    }

    fn go_on(&self, attempt: &Attempt<'_>, corpus: &Corpus, (seconds, seed): (u64, Option<u64>)) {
        let begun = time();
        let mut seed = seed.unwrap_or_else(rand::random);
        while time().saturating_sub(begun) < Duration::from_secs(seconds) {
            self.batch(attempt, corpus, (seed, BATCH, LONG_INPUT));
            seed = seed.wrapping_add(1);
        }
    }

    fn batch(&self, attempt: &Attempt<'_>, corpus: &Corpus, how: (u64, u32, usize)) {
        let (seed, cases, longest) = how;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: ATTEMPTS,
            max_shrink_time: LONGEST_SEARCH,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let cook = |recipe: &Recipe| recipe.cook(corpus, self.words, longest);
        let outcome = runner.run(&recipes(), |recipe| {
            let outcome = attempt.once(&cook(&recipe));
            outcome.map_err(TestCaseError::fail)
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(_, recipe)) => {
                let until = time() + Duration::from_millis(LONGEST_SEARCH.into());
                let fails = |input: &[u8]| time() < until && attempt.once(input).is_err();
                let input = smallest::smallest(cook(&recipe), ATTEMPTS, fails);
                let why = attempt.once(&input).err().unwrap_or_default();
                let kept = environment("SECONDS").map(|_| corpus::keep(self.name, &input));
                attempt.running.end();
                panic!(
                    "{}",
                    report::found(self.name, (seed, &recipe), &input, (&why, kept))
                );
            }
            Err(TestError::Abort(why)) => panic!("{}: {why}", self.name),
        }
    }
}

/// One property, and what is counted while it is tried.
struct Attempt<'a> {
    target: &'a Target,
    property: &'a dyn Fn(&[u8]),
    running: Running,
    count: Cell<u32>,
}

impl Attempt<'_> {
    fn once(&self, input: &[u8]) -> Result<(), String> {
        self.count.set(self.count.get().saturating_add(1));
        // An overflow of the stack ends the process: then the input is found where it is now.
        self.running.note(input);
        let begun = cpu_time();
        let memory = allocation_counter::measure(|| {
            TRYING.set(true);
            // What it said is known by then.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.property)(input)));
            TRYING.set(false);
        });
        let took = cpu_time().saturating_sub(begun);
        let panics = PANIC.take();
        if !panics.is_empty() {
            return Err(panics);
        }
        self.target
            .bounds
            .judge(input.len(), took, memory.bytes_max)
    }
}

thread_local! {
    /// Whether this thread tries a property, and what its panics said, also of those that somebody caught.
    static TRYING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics of properties are told once, at the end, and not for every attempt to make the input smaller.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
            if TRYING.get() {
                let said = panic.payload_as_str().unwrap_or("a panic without words");
                let at = panic
                    .location()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                PANIC.with_borrow_mut(|all| all.extend([said, " (", &at, ") "]));
            } else {
                usual(panic);
            }
        }));
    });
}

/// A number from the environment.
fn environment(name: &str) -> Option<u64> {
    let text = std::env::var(format!("HYBRID_CALENDAR_FUZZ_{name}")).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("HYBRID_CALENDAR_FUZZ_{name}={text} is no number")))
}
