//! Where notifications go and who signs them: what becomes of subscriptions when either changes.

use std::net::SocketAddr;

use graph_emulator::{Booking, JournalEntry};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use testbed::objects::condition;
use testbed::ports;
use testbed::testbed::Testbed;
use tokio::net::{TcpListener, TcpStream};

use super::scene::{DEADLINE, SOON, apply, mailbox_is, only_subscription, state, tenant_is, world};
use super::subscriptions::{
    address, all_ready, gap, name, named, objects, replaced, rooms, with_rooms,
};

const KEYS: &str = "hybrid-calendar-operator-key";

fn secrets(bed: &Testbed) -> Api<Secret> {
    Api::namespaced(bed.client.clone(), &bed.namespace)
}

/// Names of the keys in the key Secret, lowest number first.
async fn keys(bed: &Testbed) -> Vec<String> {
    let secret = secrets(bed).get_opt(KEYS).await.unwrap();
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    data.into_keys().collect()
}

async fn accepted_and_forged(bed: &Testbed) -> (f64, f64) {
    let metrics = bed.operator.metrics().await.unwrap();
    let count = |result| {
        let name = "hybridcalendar_notifications_total";
        metrics.sum(name, &[("result", result)]).unwrap_or_default()
    };
    (count("accepted"), count("forged"))
}

/// Books a meeting in each of so many rooms, and waits until all that Graph tells of it was accepted.
async fn everything_is_heard(bed: &Testbed, count: usize) {
    let (before, _) = accepted_and_forged(bed).await;
    let start = bed.emulator.now();
    for n in 1..=count {
        let booking = Booking {
            organizer: "ada@contoso.example".to_owned(),
            subject: "Design review".to_owned(),
            start,
            end: start + SignedDuration::from_hours(1),
        };
        bed.emulator.book(&address(n), &booking).unwrap();
    }
    let expected = before + f64::from(u32::try_from(count).unwrap() * 3) - 0.1;
    bed.wait_until("every notification was accepted", SOON, async || {
        let (accepted, forged) = accepted_and_forged(bed).await;
        assert!(forged < 0.1, "{forged} seemed to be forged");
        accepted > expected
    })
    .await
    .unwrap();
}

async fn ids(bed: &Testbed, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 1..=count {
        ids.push(named(bed, n).await);
    }
    ids
}

fn calls_of(bed: &Testbed, operation: &str, status: u16) -> Vec<JournalEntry> {
    let mut journal = bed.emulator.journal(0);
    journal.retain(|entry| entry.operation == operation && entry.status == status);
    journal
}

#[tokio::test]
async fn another_notification_url_replaces_every_subscription_spread_over_time() {
    const ROOMS: usize = 20;
    let mut bed = rooms(ROOMS, "160h").await;
    let before = ids(&bed, ROOMS).await;
    let created = calls_of(&bed, "createSubscription", 201).len();
    let mut options = bed.operator.options().clone();
    let listen = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    options.receiver_listen = Some(listen);
    options.notification_url = Some(format!("http://{listen}/base"));
    bed.operator.terminate().await.unwrap();
    bed.operator.restart_with(options).await.unwrap();
    for (n, before) in (1..).zip(&before) {
        let room = replaced(&bed, n, before, DEADLINE).await;
        let (from, until) = gap(&room);
        let lasted = until.duration_since(from).as_secs_f64();
        assert!(lasted < 3.0, "no longer than two calls last: {lasted} s");
        let url = only_subscription(&bed, &address(n)).notification_url;
        assert!(
            url.starts_with(&format!("http://{listen}/base/v1/")),
            "{url}"
        );
    }
    let times: Vec<Timestamp> = calls_of(&bed, "createSubscription", 201)[created..]
        .iter()
        .map(|entry| entry.time)
        .collect();
    assert_eq!(times.len(), ROOMS, "each once");
    let spread = times[ROOMS - 1].duration_since(times[0]).as_secs_f64();
    assert!(spread > 1.5, "at most five a second on average: {spread} s");
    everything_is_heard(&bed, ROOMS).await;
}

#[tokio::test]
async fn a_rotated_key_replaces_each_subscription_when_its_renewal_is_due_and_not_before() {
    const ROOMS: usize = 3;
    let bed = rooms(ROOMS, "30s").await;
    let before = ids(&bed, ROOMS).await;
    let old = keys(&bed).await;

    // Deleted while the operator runs: written again, nothing replaced.
    let parameters = DeleteParams::default();
    let deleted = secrets(&bed).get(KEYS).await.unwrap();
    secrets(&bed).delete(KEYS, &parameters).await.unwrap();
    bed.wait_until("the key Secret is there again", SOON, async || {
        let secret = secrets(&bed).get_opt(KEYS).await.unwrap();
        secret.is_some_and(|secret| secret.data == deleted.data)
    })
    .await
    .unwrap();

    let number: u32 = old[0].strip_prefix("key-").unwrap().parse().unwrap();
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
        let room = bed.get_mailbox(&name(n)).await.unwrap();
        let due = &room["status"]["subscription"]["renewAt"];
        dues.push(due.as_str().unwrap().parse().unwrap());
    }
    assert_eq!(ids(&bed, ROOMS).await, before, "nothing is replaced early");
    for (n, (before, due)) in (1..).zip(before.iter().zip(dues)) {
        let room = replaced(&bed, n, before, DEADLINE).await;
        assert_eq!(room["status"]["subscription"]["keyId"], number + 1);
        let (from, _) = gap(&room);
        assert!(from >= due, "{from} is before {due}");
    }
    everything_is_heard(&bed, ROOMS).await;
    bed.wait_until(
        "the key that nobody uses is dropped",
        DEADLINE,
        async || keys(&bed).await == [new.as_str()],
    )
    .await
    .unwrap();
    everything_is_heard(&bed, ROOMS).await;
}

#[tokio::test]
async fn a_lost_key_is_made_anew_and_every_subscription_replaced() {
    const ROOMS: usize = 3;
    let mut bed = rooms(ROOMS, "160h").await;
    let before = ids(&bed, ROOMS).await;
    let lost = keys(&bed).await;
    bed.operator.terminate().await.unwrap();
    let parameters = DeleteParams::default();
    secrets(&bed).delete(KEYS, &parameters).await.unwrap();
    bed.operator.restart().await.unwrap();
    for (n, before) in (1..).zip(&before) {
        gap(&replaced(&bed, n, before, DEADLINE).await);
    }
    assert_ne!(
        keys(&bed).await,
        lost,
        "the number of a lost key is not used again"
    );
    everything_is_heard(&bed, ROOMS).await;
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
    const ROOMS: usize = 6;
    let dead = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    let organization = world(&with_rooms(ROOMS));
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
    let refused = calls_of(&bed, "createSubscription", 400).len();
    assert!(refused >= 2, "once is a hiccup");

    bed.wait_until("it was tried three times more", DEADLINE, async || {
        calls_of(&bed, "createSubscription", 400).len() >= refused + 3
    })
    .await
    .unwrap();
    let mut tried: Vec<_> = calls_of(&bed, "createSubscription", 400)[refused..]
        .iter()
        .map(|entry| entry.mailbox.clone())
        .collect();
    tried.dedup();
    assert_eq!(tried.len(), 1, "{tried:?}");
    for n in 1..=ROOMS {
        let room = bed.get_mailbox(&name(n)).await.unwrap();
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
    mailbox_is(&bed, &name(1), "Ready=True/Activated").await;
    forwarding.abort();
}
