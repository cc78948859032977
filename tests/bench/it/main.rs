//! The benchmark itself, tried with a handful of mailboxes: what it counts must be true, however long it takes.

use bench::options::Options;
use bench::scenario::{apply, cold, restart};
use clap::Parser as _;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_counts_what_is_done() {
    let arguments =
        "bench --mailboxes 6 --tenants 2 --repeat 1 --latency 1 --watch 0 --pace 60 --probes 1";
    let options = Options::parse_from(arguments.split_whitespace());
    let report = Box::pin(bench::run(&options, |_| {})).await.unwrap();
    let cold = |measure| report.cold.median(measure).unwrap();
    assert!(cold(&cold::STATUSES) >= 1.0, "each mailbox has a status");
    assert!(cold(&cold::CALLS) >= 1.0, "each mailbox has a subscription");
    assert!(cold(&cold::TIME) > 0.0 && cold(&cold::PROCESSOR) > 0.0);
    assert!(cold(&cold::PEAK) >= cold(&cold::STEADY));
    let restart = |measure| report.restart.median(measure).unwrap();
    assert!(restart(&restart::WRITES) < 0.5, "{report:#?}");
    assert!(report.apply.median(&apply::SAME).unwrap() > 0.0);
    let tables = report.tables(&options);
    assert_eq!(tables.len(), 3);
    let floor = tables[0]
        .rows
        .iter()
        .find(|row| row[0].starts_with("status writes"));
    assert_eq!(
        floor.unwrap()[2],
        "1.00",
        "the floor writes each status once"
    );
}
