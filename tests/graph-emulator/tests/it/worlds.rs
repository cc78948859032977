//! World files: what is refused, and that a world survives being written and replaced.

use graph_emulator::{World, WorldError};

use crate::client::{Client, WORLD};
use crate::receiver::{Manner, Receiver};

#[test]
fn a_world_is_the_same_after_it_was_written() {
    let mut world = World::from_yaml(WORLD).unwrap();
    world.limits.max_lifetime = Some(std::time::Duration::from_secs(90));
    assert_eq!(World::from_yaml(&world.to_yaml()).unwrap(), world);
}

#[test]
fn a_world_with_brackets_that_lie_too_deep_is_refused_without_being_read() {
    let deep = |brackets| format!("tenants: {}{}", "[".repeat(brackets), "]".repeat(brackets));
    let refused = |brackets| World::from_yaml(&deep(brackets)).unwrap_err().to_string();
    let told = refused(201);
    assert!(
        told.contains("more than 200 brackets within each other"),
        "{told}"
    );
    let told = refused(2);
    assert!(!told.contains("brackets"), "{told}");
}

#[test]
fn every_contradiction_is_named_at_once() {
    let tenant = "5f1d7a9c-1111-4000-8000-000000000001";
    let text = format!(
        "behaviour: {{randomFaults: 2, onPremisesStatus: 200}}
limits: {{minLifetime: 2m, maxLifetime: 1m, tokenLifetime: 0s}}
tenants:
- id: {tenant}
  domains: [{{name: a.example, default: true}}, {{name: b.example, default: true}}]
  applications:
  - clientId: five
    secrets: [{{value: ''}}]
    certificates: [{{pem: none}}]
    exchangeRoles: [Calendars.Read]
    federated:
    - {{issuer: i, subject: s, audience: a, jwksFile: /does/not/exist}}
    - {{issuer: i, subject: s, audience: a, jwks: {{keys: 7}}}}
    denied: [c@a.example, room-000002@a.example, room-000003@a.example]
  mailboxes:
  - {{address: a@a.example, aliases: [b@a.example]}}
  - {{address: B@a.example, id: seven}}
  - {{address: nobody, userPrincipalName: a@a.example}}
  - {{address: room-000001@a.example}}
  generate: {{rooms: 2, prefix: room-, domain: a.example}}
- id: {tenant}
  domains: [{{name: A.example}}, {{name: a.example}}, {{name: 'x y'}}]
"
    );
    let Err(WorldError::Contradictory(problems)) = World::from_yaml(&text) else {
        panic!("the world was accepted");
    };
    let expected = [
        "limits.tokenLifetime: it is zero; write",
        "limits.minLifetime: it is longer than limits.maxLifetime",
        "behaviour.randomFaults: it is a share; use",
        "behaviour.onPremisesStatus: 200 is not an HTTP error status; use",
        "tenants[0].domains: 2 default domains; keep",
        "tenants[0].applications[0].clientId: \"five\" is not a GUID; write",
        "tenants[0].applications[0].secrets[0].value: it is empty; write",
        "tenants[0].applications[0].certificates[0].pem: it is not PEM",
        "tenants[0].applications[0].exchangeRoles[0]: \"Calendars.Read\" is not named like",
        "tenants[0].applications[0].federated[0].jwksFile: /does/not/exist: No such file",
        "tenants[0].applications[0].federated[1].jwks: it is not a JWKS",
        "tenants[0].applications[0].denied[0]: c@a.example is not the address of a mailbox; write",
        "tenants[0].applications[0].denied[2]: room-000003@a.example is not",
        "tenants[0].mailboxes[1].address: B@a.example belongs to both a@a.example and B@a.example",
        "tenants[0].mailboxes[1].id: \"seven\" is not a GUID; write",
        "tenants[0].mailboxes[2].userPrincipalName: a@a.example belongs to both",
        "tenants[0].mailboxes[2].address: \"nobody\" is not an address; write",
        "tenants[0].generate.prefix: it makes room-000001@a.example, which belongs to",
        "tenants[1].id: 5f1d7a9c-1111-4000-8000-000000000001 is declared twice",
        "tenants[1].domains[1].name: a.example is declared twice; remove",
        "tenants[1].domains[2].name: \"x y\" is not a domain; write",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}: {expected}");
    }
}

#[test]
fn an_unknown_field_is_refused() {
    let error = World::from_yaml("tenants: [{id: x, mailbox: []}]").unwrap_err();
    assert!(
        error.to_string().contains("unknown field `mailbox`"),
        "{error}"
    );
}

#[test]
fn files_that_a_world_names_lie_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.yaml");
    let missing = World::from_file(&path).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    let text = "
tenants:
- id: 5f1d7a9c-1111-4000-8000-000000000001
  applications:
  - clientId: 5f1d7a9c-2222-4000-8000-000000000001
    federated: [{issuer: i, subject: s, audience: a, jwksFile: jwks.json}]
";
    std::fs::write(&path, text).unwrap();
    assert!(World::from_file(&path).is_err());
    std::fs::write(directory.path().join("jwks.json"), r#"{"keys": []}"#).unwrap();
    let world = World::from_file(&path).unwrap();
    let file = world.tenants[0].applications[0].federated[0]
        .jwks_file
        .clone();
    assert!(
        file.unwrap()
            .starts_with(&*directory.path().to_string_lossy())
    );
}

#[tokio::test]
async fn a_new_world_keeps_the_subscriptions_of_what_remains() {
    let client = Client::new().await;
    let receiver = Receiver::start(Manner::Good).await;
    for room in ["room-a@contoso.example", "room-b@contoso.example"] {
        let body = client.subscription(room, &receiver.url, 60);
        assert_eq!(client.post("subscriptions", &body).await.status, 201);
    }
    client
        .emulator
        .update_world(|world| {
            let mailboxes = &mut world.tenants[0].mailboxes;
            mailboxes.retain(|mailbox| mailbox.address != "room-b@contoso.example");
        })
        .unwrap();
    let left = client.emulator.subscriptions();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].mailbox, "room-a@contoso.example");
    client
        .emulator
        .update_world(|world| {
            let room = world.mailbox_mut("room-a@contoso.example").unwrap();
            room.id = Some(left[0].mailbox_id.clone());
            room.address = "hall@contoso.example".to_owned();
        })
        .unwrap();
    assert_eq!(
        client.emulator.subscriptions()[0].mailbox,
        "hall@contoso.example"
    );
    let broken = client
        .emulator
        .update_world(|world| world.tenants[0].id = "x".to_owned());
    assert!(broken.is_err());
    assert_eq!(client.get("organization").await.status, 200);
    let without_application = |world: &mut World| world.tenants[0].applications.clear();
    client.emulator.update_world(without_application).unwrap();
    assert!(client.emulator.subscriptions().is_empty());
}
