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
fn every_contradiction_is_named_at_once() {
    let tenant = "5f1d7a9c-1111-4000-8000-000000000001";
    let text = format!(
        "behaviour: {{randomFaults: 2}}
tenants:
- id: {tenant}
  domains: [{{name: a.example, default: true}}, {{name: b.example, default: true}}]
  applications:
  - clientId: five
    certificates: [{{pem: none}}]
    exchangeRoles: [Calendars.Read]
    federated: [{{issuer: i, subject: s, audience: a, jwksFile: /does/not/exist}}]
  mailboxes:
  - {{address: a@a.example, aliases: [b@a.example]}}
  - {{address: B@a.example, id: seven}}
  - {{address: nobody}}
- id: {tenant}
"
    );
    let Err(WorldError::Contradictory(problems)) = World::from_yaml(&text) else {
        panic!("the world was accepted");
    };
    let expected = [
        "2 default domains",
        "the clientId is not a GUID",
        "it is not PEM",
        "not named like",
        "does not exist",
        "belongs to both a@a.example and B@a.example",
        "the id is not a GUID",
        "\"nobody\" is not an address",
        "declared twice",
        "randomFaults",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}: {expected}");
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
