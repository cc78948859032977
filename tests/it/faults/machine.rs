//! The machine and what lies on it: a full disk for logs, certificates that ran out.

use std::time::Duration;

use graph_emulator::Options;
use jiff::SignedDuration;
use testbed::clock_shift::ClockShift;
use testbed::ports;
use testbed::programs;
use testbed::testbed::{Testbed, start_emulator_with};

use super::ending::{many, nothing_was_lost};
use super::leader::owner;
use super::network::says;
use crate::behaviour::certificates::Certificates;
use crate::behaviour::scene::{
    all_ready, apply, contoso_with, daily, rooms, start, tenant_is, world,
};

#[tokio::test]
async fn a_disk_that_is_full_of_logs_stops_nothing_but_the_lines() {
    let all = daily(rooms(many()));
    let mut bed = start(&contoso_with(many()), &owner()).await;
    let before = bed.operator.options().clone();
    let program = programs::path("hybrid-calendar-operator").await.unwrap();
    let program = program.display().to_string();
    let into_full = r#"exec "$0" "$@" >/dev/full 2>&1"#;
    let mut full = before.clone();
    full.program = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        into_full.to_owned(),
        program,
    ];
    bed.operator.terminate().await.unwrap();
    bed.operator.restart_with(full).await.unwrap();
    apply(&bed, &all).await;
    all_ready(&bed, many()).await;
    let metrics = bed.operator.metrics().await.unwrap();
    let lost = metrics.sum("hybridcalendar_log_lines_lost_total", &[]);
    assert!(lost > Some(0.5), "{lost:?}");
    let panics = metrics.sum("hybridcalendar_reconcile_panics_total", &[]);
    assert!(panics < Some(0.5), "{panics:?}");
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

#[tokio::test]
async fn a_receiver_whose_certificate_ran_out_is_named_and_works_when_it_is_renewed() {
    const ROOMS: u32 = 6;
    let folder = tempfile::tempdir().unwrap();
    let (expired, renewed) = (Certificates::expired(), Certificates::new());
    expired.write(folder.path());
    let authorities = folder.path().join("authorities.pem");
    let both = format!("{}{}", expired.authority, renewed.authority);
    std::fs::write(&authorities, both).unwrap();
    let options = Options {
        trust_ca: Some(authorities),
        ..Options::default()
    };
    let organization = world(&contoso_with(ROOMS));
    let emulator = start_emulator_with(organization, options).await.unwrap();
    let port = ports::free().unwrap();
    let mut bed = Testbed::start_against(emulator, |operator| {
        operator.receiver_listen = Some(([127, 0, 0, 1], port).into());
        operator.notification_url = Some(format!("https://127.0.0.1:{port}"));
        let folder = folder.path().display();
        let argument = format!("--receiver-tls-dir={folder}");
        operator.arguments.push(argument);
    })
    .await
    .unwrap();
    let all = daily(rooms(ROOMS));
    apply(&bed, &owner()).await;
    apply(&bed, &all).await;
    tenant_is(&bed, "contoso", "EndpointRejected=True/ValidationFailed").await;
    renewed.write(folder.path());
    tenant_is(&bed, "contoso", "EndpointRejected=False/EndpointAccepted").await;
    let before = bed.operator.options().clone();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

#[tokio::test]
async fn a_microsoft_whose_certificate_ran_out_is_named_for_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let expired = Certificates::expired();
    expired.write(folder.path());
    let authority = folder.path().join("ca.crt");
    std::fs::write(&authority, &expired.authority).unwrap();
    let options = Options {
        tls_dir: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let organization = world(&contoso_with(1));
    let emulator = start_emulator_with(organization, options).await.unwrap();
    let bed = Testbed::start_against(emulator, |operator| {
        operator.arguments = vec![
            format!("--ca-file={}", authority.display()),
            "--log-filter=info,hybrid_calendar_operator::carrier=debug".to_owned(),
        ];
    });
    let bed = bed.await.unwrap();
    apply(&bed, &owner()).await;
    says(&bed, &bed.operator, "certificate expired").await;
}

/// The operator reads the machine's clock once a minute.
const NOTICED: Duration = Duration::from_mins(2);

#[tokio::test]
#[ignore = "the clock is read once a minute: make faults"]
async fn a_clock_that_jumps_by_a_day_and_back_loses_nothing() {
    let all = daily(rooms(many()));
    let mut bed = start(&contoso_with(many()), &owner()).await;
    let before = bed.operator.options().clone();
    let shift = ClockShift::new().await.unwrap();
    let mut shifted = before.clone();
    shifted.environment.extend(shift.environment());
    bed.operator.restart_with(shifted).await.unwrap();
    let (at_first, later) = all.split_at(all.len() - 2);
    apply(&bed, at_first).await;
    all_ready(&bed, many() - 2).await;
    let steps = [(24, &later[..1]), (0, &later[1..])];
    for (count, (hours, room)) in (1..).zip(steps) {
        shift.by(SignedDuration::from_hours(hours)).unwrap();
        noticed(&bed, count).await;
        apply(&bed, room).await;
        let ready = many() - 2 + u32::try_from(count).unwrap();
        all_ready(&bed, ready).await;
    }
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

/// Waits until the operator has noticed so many steps of the clock.
async fn noticed(bed: &Testbed, count: usize) {
    let said = |line: &&String| line.contains("the machine's clock was set");
    bed.wait_until("the step is noticed", NOTICED, async || {
        bed.operator.logs().iter().filter(said).count() >= count
    })
    .await
    .unwrap();
}
