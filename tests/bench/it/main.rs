//! The benchmark itself, tried with a handful of mailboxes: what it counts must be true, however long it takes.

use bench::aims::{self, RUNS};
use bench::options::Options;
use bench::report::{Report, Results};
use bench::scenario::{apply, cold, receiver, restart, sick, steady, takeover, writes};
use bench::section::{FLOOR, Measure, OPERATOR};
use clap::Parser as _;

/// What each look at a mailbox asks, and a token for each of two tenants with six mailboxes.
const QUESTIONS: f64 = 3.0 + 2.0 / 6.0;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_counts_what_is_done() {
    let arguments = "bench --mailboxes 6 --tenants 2 --repeat 1 --latency 1 --watch 0 --pace 60 --probes 1 \
         --rates 50 --burst 1 --scenario twins --scenario writes --scenario apply --scenario receiver --sick 3 --scenario quotas --scenario sick --scenario steady --hours 1";
    let options = Options::parse_from(arguments.split_whitespace());
    let report = Box::pin(bench::run(&options, |_| {})).await.unwrap();
    let results = &report.results[0];
    the_operator_works(results);
    for twin in ["controller-runtime, 64", "controller-runtime, 256", "kopf"] {
        a_twin_asks_the_same_and_again_when_it_restarts(twin, results);
    }
    for section in [&results.receiver, &results.receiver_tls] {
        let at_50 = |measure: &Measure| section.median("50/s", measure);
        assert!(is(at_50(&receiver::OTHERWISE), 0.0), "{section}");
        assert!(at_50(&receiver::ANSWERED) > Some(40.0), "{section}");
        assert!(at_50(&receiver::HANDSHAKE_P50) > Some(0.0), "{section}");
    }
    let Results {
        writes,
        quotas,
        sick,
        steady,
        ..
    } = results;
    for manner in ["apply", "merge-unchecked", "replace-unchecked"] {
        let of = |measure: &Measure| writes.median(manner, measure);
        assert!(is(of(&cold::STATUSES), 1.0), "{manner}: {writes}");
        assert!(
            of(&writes::APISERVER_EACH) > Some(0.0),
            "{manner}: {writes}"
        );
    }
    let of = |measure: &Measure| quotas.median(OPERATOR, measure);
    assert!(is(of(&cold::THROTTLED), 0.0), "{quotas}");
    assert!(of(&cold::CALLS) >= Some(1.0), "{quotas}");
    assert!(sick.median(OPERATOR, &sick::ASKED) > Some(0.0), "{sick}");
    let asked = steady.median(OPERATOR, &steady::REQUESTS);
    assert!(asked > Some(0.0), "{steady}");
    assert_eq!(report.tables(&options).len(), 10);
    every_aim_is_found(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_by_acts_soon_when_the_leader_ends_and_later_when_it_is_killed() {
    let arguments =
        "bench --mailboxes 6 --tenants 2 --repeat 1 --latency 1 --pace 60 --scenario takeover";
    let options = Options::parse_from(arguments.split_whitespace());
    let report = Box::pin(bench::run(&options, |_| {})).await.unwrap();
    let takeover = &report.results[0].takeover;
    let of = |column: &str, measure: &Measure| takeover.median(column, measure);
    let (told, killed) = (
        of(takeover::TOLD, &takeover::FIRST),
        of(takeover::KILLED, &takeover::FIRST),
    );
    assert!(told > Some(0.0) && told < killed, "{takeover}");
    assert!(killed < Some(60.0), "{takeover}");
    for column in [takeover::TOLD, takeover::KILLED] {
        assert!(of(column, &takeover::LOOKED) > of(column, &takeover::FIRST));
        assert!(of(column, &takeover::READY) > of(column, &takeover::LOOKED));
        assert!(of(column, &takeover::STANDING_BY) > Some(0.0));
        assert!(is(of(column, &takeover::STATUSES), 0.0), "{takeover}");
    }
}

/// The rates at the receiver were others, and who stands by has a test of its own.
fn every_aim_is_found(report: &Report) {
    let reports: Vec<Option<Report>> = RUNS.iter().map(|_| Some(report.clone())).collect();
    let missing = aims::table(&reports).rows.into_iter().filter(|row| {
        let elsewhere = ["receiver", "takeover", "the same with TLS"];
        row[3] == "not measured" && !elsewhere.iter().any(|it| row[0].starts_with(it))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<Vec<String>>::new());
}

fn the_operator_works(results: &Results) {
    let Results { cold, restart, .. } = results;
    let of = |measure: &Measure| cold.median(OPERATOR, measure);
    assert!(of(&cold::STATUSES) >= Some(1.0), "{cold}");
    assert!(of(&cold::CALLS) >= Some(1.0), "{cold}");
    assert!(of(&cold::TIME) > Some(0.0) && of(&cold::PROCESSOR) > Some(0.0));
    assert!(of(&cold::PEAK) >= of(&cold::STEADY));
    let of = |measure: &Measure| restart.median(OPERATOR, measure);
    assert!(is(of(&restart::WRITES), 0.0), "{restart}");
    assert!(of(&restart::KNOWN) >= of(&restart::SERVING), "{restart}");
    assert!(of(&restart::SERVING) > Some(0.0), "{restart}");
    assert!(results.apply.median(OPERATOR, &apply::SAME) > Some(0.0));
    let written = cold.median(FLOOR, &cold::STATUSES);
    assert!(is(written, 1.0), "the floor writes each status once");
}

fn a_twin_asks_the_same_and_again_when_it_restarts(twin: &str, results: &Results) {
    let Results { cold, restart, .. } = results;
    let of = |measure: &Measure| cold.median(twin, measure);
    assert!(is(of(&cold::STATUSES), 1.0), "{twin}: {cold}");
    assert!(is(of(&cold::EVENTS), 0.0), "{twin}: {cold}");
    assert!(is(of(&cold::CALLS), QUESTIONS), "{twin}: {cold}");
    let size = |column| cold.median(column, &cold::STATUS_SIZE);
    let ratio = size(twin)
        .zip(size(OPERATOR))
        .map(|(one, other)| one / other);
    assert!((Some(0.7)..Some(1.1)).contains(&ratio), "{twin}: {ratio:?}");
    let of = |measure: &Measure| restart.median(twin, measure);
    assert!(is(of(&restart::WRITES), 0.0), "{twin}: {restart}");
    let again = of(&restart::CALLS_EACH);
    assert!(is(again, QUESTIONS), "{twin}: {restart}");
}

/// Whether this was measured.
fn is(measured: Option<f64>, expected: f64) -> bool {
    measured.is_some_and(|measured| (measured - expected).abs() < 0.001)
}
