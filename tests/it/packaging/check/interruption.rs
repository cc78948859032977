//! Somebody who presses Ctrl-C.

use std::time::Duration;

use graph_emulator::{Emulator, FaultRule, Faults, Operation};
use serde_json::json;
use testbed::wait;
use tokio::process::Child;

use super::program::{Files, ended, organization, start, writes, writing_organization};
use crate::behaviour::scene::{DEADLINE, SECRET, secret, tenant, with};

/// As Ctrl-C does.
fn interrupt(child: &Child) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}

async fn called(emulator: &Emulator, operation: &str) {
    wait::until(&format!("{operation} was called"), DEADLINE, async || {
        emulator
            .journal(0)
            .iter()
            .any(|entry| entry.operation == operation)
    })
    .await
    .unwrap();
}

fn slow(operation: Operation, delay: Duration) -> Faults {
    let rule = FaultRule {
        operation,
        delay: Some(delay),
        ..FaultRule::default()
    };
    Faults {
        rules: vec![rule],
        ..Faults::default()
    }
}

#[tokio::test]
async fn an_interrupted_run_ends_at_once() {
    let emulator = start(&organization()).await;
    emulator.set_faults(slow(Operation::ListDomains, Duration::from_mins(1)));
    let objects = [secret("credential", SECRET), tenant("contoso")];
    let files = Files::of(&objects, &emulator.base_url());
    let child = files
        .command(&["--allowed-endpoint", &emulator.base_url()])
        .spawn()
        .unwrap();
    called(&emulator, "token").await;
    interrupt(&child);
    let checked = ended(child).await;
    assert_eq!(
        (checked.code, checked.out.as_str()),
        (Some(130), ""),
        "{checked:?}"
    );
}

#[tokio::test]
async fn an_interrupted_run_removes_its_test_event() {
    let emulator = start(&writing_organization()).await;
    emulator.set_faults(slow(Operation::GetEvent, Duration::from_millis(500)));
    let test = json!({"spec": {"testMailbox": "room-b@contoso.example"}});
    let objects = [secret("credential", SECRET), with(tenant("contoso"), test)];
    let files = Files::of(&objects, &emulator.base_url());
    let arguments = ["--write-test", "--allowed-endpoint", &emulator.base_url()];
    let child = files.command(&arguments).spawn().unwrap();
    called(&emulator, "createEvent").await;
    interrupt(&child);
    let checked = ended(child).await;
    assert_eq!(checked.code, Some(130), "{checked:?}");
    assert!(
        checked
            .err
            .contains("stopping after the test event is removed"),
        "{checked:?}"
    );
    assert_eq!(writes(&emulator), ["createEvent", "deleteEvent"]);
}
