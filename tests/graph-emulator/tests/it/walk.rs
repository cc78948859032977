//! One walk through everything that a calendar integration needs.

use graph_emulator::Operation;

use crate::client::{Client, TENANT};
use crate::receiver::{Manner, Receiver};

#[tokio::test]
async fn a_good_application_can_prove_and_subscribe_a_room() {
    let client = Client::new().await;
    let organization = client.get("organization").await;
    assert_eq!(organization.body["value"][0]["id"], TENANT);
    let domains = client.get("domains").await;
    assert_eq!(domains.body["value"][2]["isVerified"], false);

    let filter = "proxyAddresses/any(p:p%20eq%20'smtp:a@contoso.example')";
    let found = client
        .get(&format!("users?$filter={filter}&$select=id,proxyAddresses"))
        .await;
    let room = &found.body["value"][0];
    assert_eq!(room["proxyAddresses"][0], "SMTP:room-a@contoso.example");
    let id = room["id"].as_str().unwrap();
    let calendar = client.get(&format!("users/{id}/calendar")).await;
    assert_eq!(calendar.body["owner"]["address"], "room-a@contoso.example");
    let place = client
        .get("places/room-a@contoso.example/microsoft.graph.room")
        .await;
    assert_eq!(place.body["capacity"], 8);

    let receiver = Receiver::start(Manner::Good).await;
    let created = client
        .post("subscriptions", &client.subscription(id, &receiver.url, 60))
        .await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(created.body["clientState"], "state");
    assert_eq!(receiver.validated(), ["/notifications", "/lifecycle"]);
    assert_eq!(client.emulator.subscriptions()[0].mailbox_id, id);
    assert_eq!(client.count(Operation::CreateSubscription, 201), 1);

    let id = created.body["id"].as_str().unwrap();
    let listed = client.get("subscriptions").await;
    assert_eq!(listed.body["value"][0]["id"], id);
    assert!(listed.body["value"][0]["clientState"].is_null());
    assert_eq!(
        client.delete(&format!("subscriptions/{id}")).await.status,
        204
    );
    assert_eq!(
        client.get(&format!("subscriptions/{id}")).await.code(),
        (404, "ResourceNotFound")
    );
    let journal = client.emulator.journal(0);
    let mailboxes = journal
        .iter()
        .filter(|entry| entry.mailbox.is_some())
        .count();
    assert_eq!((journal.len(), mailboxes), (10, 5), "{journal:#?}");
}
