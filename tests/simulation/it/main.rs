//! A short simulation, in which everything must hold; that it replays; and that it finds mistakes.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows this in tests, but not in their helpers"
)]

use std::process::{Command, Stdio};

use simulation::mutants::Mutant;
use simulation::play::Outcome;

fn simulate(arguments: &str) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .arg("--json")
        .args(arguments.split(' '))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn everything_holds_through_a_storm_and_the_same_seed_tells_the_same_story() {
    let first = simulate("--seed 1 --hours 2 --mailboxes 6");
    assert!(first.violation.is_none(), "{:#?}", first.violation);
    assert!(first.tally["storms"] > 0);
    let again = simulate("--seed 1 --hours 2 --mailboxes 6");
    let told = (again.digest, again.tally);
    assert_eq!((first.digest, first.tally), told);
}

#[test]
fn each_mistake_is_found_by_the_invariant_that_is_meant_for_it() {
    for mutant in Mutant::ALL {
        let value = clap::ValueEnum::to_possible_value(mutant).unwrap();
        let play = format!(
            "--seed 1 --hours 1 --mailboxes 6 --mutant {}",
            value.get_name()
        );
        let violation = simulate(&play).violation;
        let found = violation.as_ref().map(|violation| violation.invariant);
        assert_eq!(
            found,
            Some(mutant.breaks()),
            "{mutant:?} is taken for {violation:#?}"
        );
    }
}

#[test]
fn other_seeds_tell_other_stories() {
    let digest = |seed: u64| {
        simulate(&format!(
            "--seed {seed} --hours 0 --course calm --mailboxes 1"
        ))
        .digest
    };
    assert_ne!(digest(1), digest(2));
}

#[test]
fn nothing_is_written_in_steady_hours_and_little_is_asked() {
    let outcome = simulate("--seed 1 --hours 3 --course steady --mailboxes 100");
    assert!(outcome.violation.is_none(), "{:#?}", outcome.violation);
    let of = |what: &str| outcome.tally.get(what).copied().unwrap_or_default();
    let renewed = of("subscriptions made or renewed");
    assert_eq!(of("writes of statuses"), renewed, "{:#?}", outcome.tally);
    assert_eq!(of("Events"), 0);
    let requests = of("requests to Graph and Entra");
    // Of so small tenants, what is asked about the tenant itself is most of it.
    assert!((1..=150).contains(&requests), "{requests}");
}
