//! Where notifications go and who signs them: what becomes of subscriptions when either changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use graph_emulator::JournalEntry;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::error::{Attempt as _, Error};
use testbed::objects::condition;
use testbed::ports;
use testbed::testbed::Testbed;
use tokio::net::{TcpListener, TcpStream};

use super::hearing::Hearing;
use super::scene::{
    DEADLINE, all_ready, apply, contoso_with, eventually, mailbox_is, named, only_subscription,
    room_address, room_name, rooms, state, tenant_is, world,
};
use super::subscriptions::{gap, living, objects, replaced};

const KEYS: &str = "hybrid-calendar-operator-key";

/// Longer than a subscription of these tests lives.
const PATIENCE: Duration = Duration::from_mins(2);

fn secrets(bed: &Testbed) -> Api<Secret> {
    Api::namespaced(bed.client.clone(), &bed.namespace)
}

/// What is in the key Secret: a number in each name, the lowest first.
async fn keys(bed: &Testbed) -> Result<BTreeMap<String, ByteString>, Error> {
    let secret = secrets(bed).get_opt(KEYS).await;
    let secret = secret.attempt("read the key Secret")?;
    Ok(secret.and_then(|secret| secret.data).unwrap_or_default())
}

/// Books a meeting in each of so many rooms, and waits until all that Graph tells of it was accepted.
async fn everything_is_heard(bed: &Testbed, count: u32) {
    let mut hearing = Hearing::begin(bed).await;
    (1..=count).for_each(|n| hearing.book(&room_address(n)));
    hearing.lost_nothing().await;
}

/// Waits until every room has another subscription, with a short gap, and all that is told of a room from then on is
/// heard. Returns the rooms.
async fn all_replaced(bed: &Testbed, before: &[String]) -> Vec<Value> {
    let mut hearing = Hearing::begin(bed).await;
    let mut rooms = Vec::new();
    for (n, before) in (1..).zip(before) {
        let room = replaced(bed, n, before, PATIENCE).await;
        hearing.book(&room_address(n));
        let (from, until) = gap(&room);
        let lasted = until.duration_since(from).as_secs_f64();
        assert!(
            (0.0..=10.0).contains(&lasted),
            "two calls do not last {lasted} s"
        );
        rooms.push(room);
    }
    hearing.lost_nothing().await;
    rooms
}

/// The ids that the statuses name.
async fn ids(bed: &Testbed, count: u32) -> Vec<String> {
    let named = named(bed, &rooms(count)).await;
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    named.iter().map(text).collect()
}

fn calls_of(bed: &Testbed, operation: &str, status: u16) -> Vec<JournalEntry> {
    let mut journal = bed.emulator.journal(0);
    journal.retain(|entry| entry.operation == operation && entry.status == status);
    journal
}

/// Since there were so many successful creates, so many more came, and not all at once.
fn assert_created_slowly(bed: &Testbed, before: usize, count: u32) {
    let times: Vec<Timestamp> = calls_of(bed, "createSubscription", 201)[before..]
        .iter()
        .map(|entry| entry.time)
        .collect();
    assert_eq!(times.len(), count as usize, "each once");
    let spread = times[times.len() - 1].duration_since(times[0]);
    // Five a second on average, and room for an unequal start.
    let least = f64::from(count) / 5.0 - 2.5;
    assert!(spread.as_secs_f64() > least, "{spread} for {count}");
}

#[tokio::test]
async fn another_notification_url_replaces_every_subscription_spread_over_time() {
    const ROOMS: u32 = 20;
    let mut bed = living(ROOMS, "160h").await;
    let before = ids(&bed, ROOMS).await;
    let created = calls_of(&bed, "createSubscription", 201).len();
    let mut options = bed.operator.options().clone();
    let listen = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    options.receiver_listen = Some(listen);
    options.notification_url = Some(format!("http://{listen}/base"));
    bed.operator.terminate().await.unwrap();
    bed.operator.restart_with(options).await.unwrap();
    all_replaced(&bed, &before).await;
    let base = format!("http://{listen}/base/v1/");
    for n in 1..=ROOMS {
        let url = only_subscription(&bed, &room_address(n)).notification_url;
        assert!(url.starts_with(&base), "{url}");
    }
    assert_created_slowly(&bed, created, ROOMS);
    everything_is_heard(&bed, ROOMS).await;
}

#[tokio::test]
async fn a_rotated_key_replaces_each_subscription_when_its_renewal_is_due_and_not_before() {
    const ROOMS: u32 = 3;
    let bed = living(ROOMS, "60s").await;
    let before = ids(&bed, ROOMS).await;
    let old = keys(&bed).await.unwrap();

    // Deleted while the operator runs: written again, nothing replaced.
    let parameters = DeleteParams::default();
    secrets(&bed).delete(KEYS, &parameters).await.unwrap();
    let what = "the key Secret is there again";
    eventually(&bed, what, DEADLINE, async || Ok(keys(&bed).await? == old)).await;

    let (name, _) = old.first_key_value().unwrap();
    let number: u32 = name.strip_prefix("key-").unwrap().parse().unwrap();
    let new = format!("key-{}", number + 1);
    let data = json!({"data": {new.as_str(): ByteString(vec![7; 32])}});
    let parameters = PatchParams::default();
    let patch = Patch::Merge(&data);
    secrets(&bed)
        .patch(KEYS, &parameters, &patch)
        .await
        .unwrap();
    everything_is_heard(&bed, ROOMS).await;
    let mut dues: Vec<Timestamp> = Vec::new();
    for n in 1..=ROOMS {
        let room = bed.get_mailbox(&room_name(n)).await.unwrap();
        let due = &room["status"]["subscription"]["renewAt"];
        dues.push(due.as_str().unwrap().parse().unwrap());
    }
    assert_eq!(ids(&bed, ROOMS).await, before, "nothing is replaced early");
    for (room, due) in all_replaced(&bed, &before).await.iter().zip(dues) {
        assert_eq!(room["status"]["subscription"]["keyId"], number + 1);
        let (from, _) = gap(room);
        assert!(from >= due, "{from} is before {due}");
    }
    let what = "the key that nobody uses is dropped";
    eventually(&bed, what, PATIENCE, async || {
        Ok(keys(&bed).await?.into_keys().eq([new.clone()]))
    })
    .await;
    everything_is_heard(&bed, ROOMS).await;
}

#[tokio::test]
async fn a_lost_key_is_made_anew_and_every_subscription_replaced() {
    const ROOMS: u32 = 20;
    let mut bed = living(ROOMS, "160h").await;
    let before = ids(&bed, ROOMS).await;
    let created = calls_of(&bed, "createSubscription", 201).len();
    let lost = keys(&bed).await.unwrap();
    bed.operator.terminate().await.unwrap();
    let parameters = DeleteParams::default();
    secrets(&bed).delete(KEYS, &parameters).await.unwrap();
    bed.operator.restart().await.unwrap();
    all_replaced(&bed, &before).await;
    assert_created_slowly(&bed, created, ROOMS);
    let made = keys(&bed).await.unwrap();
    assert!(
        lost.keys().all(|name| !made.contains_key(name)),
        "the number of a lost key is not used again"
    );
    everything_is_heard(&bed, ROOMS).await;
}

#[tokio::test]
async fn a_key_secret_that_is_named_anew_replaces_every_subscription() {
    const ROOMS: u32 = 3;
    let mut bed = living(ROOMS, "160h").await;
    let before = ids(&bed, ROOMS).await;
    bed.operator.terminate().await.unwrap();
    let first = bed.operator.options().clone();
    let key_secret = format!("{}/named-anew", bed.namespace);
    let renamed = bed.other_operator("renamed", |options| {
        options.receiver_listen = first.receiver_listen;
        options.notification_url = first.notification_url;
        options.key_secret = Some(key_secret);
    });
    bed.operator = renamed.await.unwrap();
    all_replaced(&bed, &before).await;
    assert_eq!(bed.emulator.subscriptions().len(), ROOMS as usize);
}

/// Passes connections on, so that a dead address becomes a living one.
async fn forward(from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).await.unwrap();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                // Either side may close when it likes.
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            }
        });
    }
}

#[tokio::test]
async fn a_notification_url_that_graph_cannot_reach_shows_on_the_tenant_and_one_mailbox_tries_it() {
    const ROOMS: u32 = 6;
    let dead = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    let organization = world(&contoso_with(ROOMS));
    let bed = Testbed::start_with(organization, |options| {
        options.notification_url = Some(format!("http://{dead}"));
    })
    .await
    .unwrap();
    apply(&bed, &objects(ROOMS)).await;
    let tenant = tenant_is(&bed, "contoso", "EndpointRejected=True/ValidationFailed").await;
    assert_eq!(state(&tenant, "Ready"), "False/EndpointRejected");
    for problem in ["Unauthorized", "DomainMismatch", "MicrosoftUnavailable"] {
        assert_eq!(
            condition(&tenant, problem).unwrap()["status"],
            "False",
            "{problem}"
        );
    }
    let refused = || calls_of(&bed, "createSubscription", 400);
    assert!(refused().len() >= 2, "once is a hiccup");
    for n in 1..=ROOMS {
        mailbox_is(&bed, &room_name(n), "Ready=False/SubscriptionInactive").await;
    }

    // Others may be on their way until every room waits, but each of them only once.
    let seen = refused().len();
    let what = "it was tried until three attempts are not of those on their way";
    bed.wait_until(what, PATIENCE, async || {
        refused().len() >= seen + ROOMS as usize + 2
    })
    .await
    .unwrap();
    let mut tried: Vec<_> = refused()
        .iter()
        .rev()
        .take(3)
        .map(|entry| entry.mailbox.clone())
        .collect();
    tried.dedup();
    assert_eq!(tried.len(), 1, "{tried:?}");
    for n in 1..=ROOMS {
        let room = bed.get_mailbox(&room_name(n)).await.unwrap();
        assert_eq!(state(&room, "Ready"), "False/SubscriptionInactive");
        assert_eq!(condition(&room, "Stalled"), None);
        for problem in ["TenantNotReady", "MailboxNotFound", "Unauthorized"] {
            assert_eq!(
                condition(&room, problem).unwrap()["status"],
                "False",
                "{problem}"
            );
        }
    }

    let receiver = bed.operator.options().receiver_listen.unwrap();
    let forwarding = tokio::spawn(forward(dead, receiver));
    all_ready(&bed, ROOMS).await;
    tenant_is(&bed, "contoso", "EndpointRejected=False/EndpointAccepted").await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    everything_is_heard(&bed, ROOMS).await;
    mailbox_is(&bed, &room_name(1), "Ready=True/Activated").await;
    forwarding.abort();
}
