//! Somebody who presses Ctrl-C.

use std::time::Duration;

use graph_emulator::{Cut, Emulator, FaultRule, Faults, Operation};
use serde_json::{Value, json};
use testbed::wait;
use tokio::process::Child;

use super::program::{Files, check, ended, organization, start, writes, writing_organization};
use crate::behaviour::scene::{DEADLINE, SECRET, TENANT, secret, tenant, with};

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
            .contains("a test event that is there is removed first"),
        "{checked:?}"
    );
    assert_eq!(writes(&emulator), ["createEvent", "deleteEvent"]);
}

/// A second tenant beside [`TENANT`].
const OTHER: &str = "5f1d7a9c-1111-4000-8000-000000000002";

/// The organization twice, under two names.
fn two_organizations() -> Value {
    let mut both = writing_organization();
    let other = both["tenants"][0].to_string();
    let other = other
        .replace(TENANT, OTHER)
        .replace("contoso.example", "fabrikam.example")
        .replace("laboratory.example", "workshop.example")
        .replace("old.example", "older.example");
    let other = serde_json::from_str(&other).unwrap();
    both["tenants"].as_array_mut().unwrap().push(other);
    both
}

#[tokio::test]
async fn after_an_interruption_nothing_is_created_and_what_was_created_is_removed() {
    let emulator = start(&two_organizations()).await;
    let looking = FaultRule {
        tenant: Some(OTHER.to_owned()),
        ..slow(Operation::ListDomains, Duration::from_secs(2)).rules[0].clone()
    };
    // Carried out, but not answered yet.
    let creating = FaultRule {
        operation: Operation::CreateEvent,
        tenant: Some(TENANT.to_owned()),
        delay_after: Some(Duration::from_secs(1)),
        ..FaultRule::default()
    };
    emulator.set_faults(Faults {
        rules: vec![looking, creating],
        ..Faults::default()
    });
    let testing = |name: &str, id: &str| {
        let test = format!("room-b@{name}.example");
        let change = json!({"spec": {"tenantId": id, "testMailbox": test}});
        with(tenant(name), change)
    };
    let objects = [
        secret("credential", SECRET),
        testing("contoso", TENANT),
        testing("fabrikam", OTHER),
    ];
    let files = Files::of(&objects, &emulator.base_url());
    let arguments = ["--write-test", "--allowed-endpoint", &emulator.base_url()];
    let child = files.command(&arguments).spawn().unwrap();
    wait::until("both are in the middle of it", DEADLINE, async || {
        emulator.faults_fired() == [1, 1]
    })
    .await
    .unwrap();
    interrupt(&child);
    let checked = ended(child).await;
    assert_eq!(checked.code, Some(130), "{checked:?}");
    assert!(!checked.err.contains("may be left"), "{checked:?}");
    let journal = emulator.journal(0);
    let of_events: Vec<_> = journal
        .iter()
        .filter(|entry| entry.operation.ends_with("Event"))
        .map(|entry| {
            (
                entry.operation.as_str(),
                entry.tenant.as_deref(),
                entry.status,
            )
        })
        .collect();
    assert_eq!(
        of_events,
        [
            ("createEvent", Some(TENANT), 201),
            ("deleteEvent", Some(TENANT), 204)
        ]
    );
}

#[tokio::test]
async fn an_event_that_may_be_left_is_told_with_its_mailbox() {
    let emulator = start(&writing_organization()).await;
    let cut = FaultRule {
        operation: Operation::CreateEvent,
        cut: Some(Cut::After),
        ..FaultRule::default()
    };
    emulator.set_faults(Faults {
        rules: vec![cut],
        ..Faults::default()
    });
    let test = json!({"spec": {"testMailbox": "room-b@contoso.example"}});
    let objects = [secret("credential", SECRET), with(tenant("contoso"), test)];
    let checked = check(&emulator, &objects, &["--write-test"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    let told = "may be left in the calendar of room-b@contoso.example: delete it there";
    assert!(checked.err.contains(told), "{checked:?}");
}
