//! Two copies, and somebody who pretends to be one, at real sockets: what reaches the queue of the one that leads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::room;
use super::socket::{PATIENCE, plain};
use crate::clock::{Clock, sleep};
use crate::domain::identity::{Identity, KeyRing};
use crate::ids::{InstanceId, KeyId, Uid};
use crate::metrics::Metrics;
use crate::notification::forward::{FindLeader, Forwarder, Leader, Others, network};
use crate::notification::forwarded::{BATCH, BODY_LIMIT, ForwardedState, PATH, router};
use crate::notification::receiver::IdentitySlot;
use crate::notification::server::Server;
use crate::notification::wake::{LifecycleEvent, Wake, WakeQueue};

const ME: &str = "leader_1";

fn keys() -> KeyRing {
    KeyRing::generate(KeyId(1), [42; 32])
}

fn slot(keys: KeyRing) -> IdentitySlot {
    let slot = IdentitySlot::default();
    slot.store(Some(Arc::new(Identity {
        instance: InstanceId::new("0123456789abcdef"),
        keys,
    })));
    slot
}

fn wake(object: u8) -> Wake {
    Wake {
        uid: Uid::from_bytes([object; 16]),
        event: LifecycleEvent::Missed,
    }
}

/// The copy that leads.
struct Leading {
    wakes: WakeQueue,
    metrics: Metrics,
    clock: Clock,
    leads: watch::Sender<bool>,
    server: Server,
}

impl Leading {
    async fn start(room: usize) -> Self {
        let metrics = Metrics::new().unwrap();
        let wakes = WakeQueue::new(room, metrics.wake_lost.clone());
        let clock = Clock::system();
        let (leads, told) = watch::channel(true);
        let state = ForwardedState::new(
            (ME.into(), told),
            slot(keys()),
            wakes.clone(),
            metrics.clone(),
            clock.clone(),
        );
        let server = Server::start(plain(), router(state)).await.unwrap();
        Self {
            wakes,
            metrics,
            clock,
            leads,
            server,
        }
    }

    fn counted(&self, result: &str) -> u64 {
        let received = &self.metrics.wake_forwards_received;
        received.with_label_values(&[result]).get()
    }

    fn whereabouts(&self) -> Leader {
        Leader {
            address: self.server.address(),
            identity: ME.to_owned(),
        }
    }

    fn sealed(&self, keys: &KeyRing, body: &[u8], (nonce, ago): (u8, i64)) -> String {
        let now = self.clock.now() - SignedDuration::from_secs(ago);
        let seal = keys.seal(ME, body, (now, [nonce; 16]));
        format!("HybridCalendarWakes {seal}")
    }

    async fn post(&self, authorization: &str, body: &[u8]) -> u16 {
        post(self.server.address(), authorization, body).await
    }
}

async fn post(address: SocketAddr, authorization: &str, body: &[u8]) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{address}{PATH}"));
    let request = request.header("authorization", authorization);
    let answer = request.body(body.to_vec()).send().await.unwrap();
    answer.status().as_u16()
}

/// Says who leads.
#[derive(Clone, Debug, Default)]
struct Board(Arc<Mutex<Option<Leader>>>);

impl FindLeader for Board {
    fn find(&self) -> BoxFuture<'_, Option<Leader>> {
        let leader = self.0.lock().unwrap().clone();
        async move { leader }.boxed()
    }
}

impl Board {
    fn write(&self, leader: Leader) {
        *self.0.lock().unwrap() = Some(leader);
    }
}

/// A copy that does not lead. Its task ends with it.
struct Following {
    wakes: WakeQueue,
    metrics: Metrics,
    leading: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    fn start(board: &Board) -> Self {
        let metrics = Metrics::new().unwrap();
        let wakes = WakeQueue::new(1000, metrics.wake_lost.clone());
        let (leading, leads) = watch::channel(false);
        let forwarder = Forwarder::new(
            slot(keys()),
            wakes.clone(),
            metrics.clone(),
            Clock::system(),
            Others {
                leaders: Arc::new(board.clone()),
                carrier: network().unwrap(),
            },
        );
        let task = tokio::spawn(forwarder.run(leads));
        Self {
            wakes,
            metrics,
            leading,
            task,
        }
    }

    fn counted(&self, result: &str) -> u64 {
        let sent = &self.metrics.wake_forwards_sent;
        sent.with_label_values(&[result]).get()
    }

    async fn until_gone(&self) {
        until(|| self.wakes.left() == (0, true)).await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    let holding = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, holding).await.unwrap();
}

#[tokio::test]
async fn what_a_follower_was_told_reaches_the_leader_together() {
    let leader = Leading::start(1000).await;
    let board = Board::default();
    board.write(leader.whereabouts());
    let follower = Following::start(&board);
    for object in [1, 2, 1] {
        follower.wakes.push(wake(object));
    }
    follower.until_gone().await;
    // What had to be sent again comes in another order.
    let taken = leader.wakes.drain();
    assert!(taken.len() == 2 && taken.contains(&wake(1)) && taken.contains(&wake(2)));
    assert_eq!(
        (leader.counted("accepted"), follower.counted("delivered")),
        (1, 1)
    );
    assert_eq!(follower.metrics.wake_lost.get(), 0);
}

#[tokio::test]
async fn wakes_are_kept_until_somebody_leads_who_takes_them() {
    let leader = Leading::start(1000).await;
    let board = Board::default();
    let follower = Following::start(&board);
    follower.wakes.push(wake(1));
    // Nobody answers at the address of one that died.
    let gone = Leading::start(1).await;
    let died = gone.whereabouts();
    gone.server.drain(Duration::ZERO).await;
    board.write(died);
    until(|| follower.counted("unanswered") > 0).await;
    // The next one has not seen yet that it leads.
    leader.leads.send_replace(false);
    board.write(leader.whereabouts());
    until(|| leader.counted("unavailable") > 0).await;
    assert_eq!(leader.wakes.drain(), []);
    leader.leads.send_replace(true);
    follower.until_gone().await;
    assert_eq!(leader.wakes.drain(), [wake(1)]);
    assert_eq!(follower.metrics.wake_lost.get(), 0);
}

#[tokio::test]
async fn what_the_leader_has_no_room_for_stays_with_the_follower() {
    let leader = Leading::start(1).await;
    let board = Board::default();
    board.write(leader.whereabouts());
    let follower = Following::start(&board);
    follower.wakes.push(wake(1));
    follower.wakes.push(wake(2));
    until(|| leader.counted("unavailable") > 0).await;
    until(|| follower.wakes.left() == (2, true)).await;
    assert_eq!(
        (leader.wakes.left().0, leader.metrics.wake_lost.get()),
        (0, 0)
    );
}

#[tokio::test]
async fn who_begins_to_lead_keeps_what_it_was_told() {
    let follower = Following::start(&Board::default());
    follower.wakes.push(wake(1));
    follower.leading.send_replace(true);
    let next = timeout(PATIENCE, follower.wakes.next()).await;
    assert_eq!(next, Ok(wake(1)));
}

#[tokio::test]
async fn more_than_a_batch_goes_in_several() {
    let leader = Leading::start(10_000).await;
    let board = Board::default();
    board.write(leader.whereabouts());
    let follower = Following::start(&board);
    let all = BATCH + 1;
    for object in 0..all {
        let mut uid = [0; 16];
        uid[..8].copy_from_slice(&object.to_be_bytes());
        let uid = Uid::from_bytes(uid);
        let event = LifecycleEvent::ReauthorizationRequired;
        follower.wakes.push(Wake { uid, event });
    }
    follower.until_gone().await;
    assert_eq!(leader.wakes.left(), (all, true));
    assert_eq!(
        leader.counted("accepted"),
        2,
        "a full batch fits into a body"
    );
}

#[tokio::test]
async fn what_is_forged_old_or_repeated_is_refused_counted_and_wakes_nobody() {
    let leader = Leading::start(10).await;
    let body = json!({"wakes": [{"uid": room().to_string(), "event": "missed"}]}).to_string();
    let body = body.as_bytes();
    let strangers = KeyRing::generate(KeyId(1), [43; 32]);
    let good = leader.sealed(&keys(), body, (1, 0));
    for (result, status, authorization) in [
        ("unsigned", 401, "Basic eDp5".to_owned()),
        ("unsigned", 401, good.replace("Wakes", "Other")),
        ("forged", 401, leader.sealed(&strangers, body, (2, 0))),
        ("forged", 401, leader.sealed(&keys(), b"another", (3, 0))),
        ("stale", 403, leader.sealed(&keys(), body, (4, 61))),
        ("stale", 403, leader.sealed(&keys(), body, (5, -70))),
    ] {
        let before = leader.counted(result);
        assert_eq!(leader.post(&authorization, body).await, status, "{result}");
        assert_eq!(leader.counted(result), before + 1, "{result}");
    }
    assert_eq!(leader.wakes.drain(), []);

    assert_eq!(leader.post(&good, body).await, 202);
    assert_eq!(leader.wakes.drain(), [wake(7)]);
    assert_eq!(leader.post(&good, body).await, 403);
    assert_eq!(leader.counted("replayed"), 1);
    assert_eq!(leader.wakes.drain(), []);
}

#[tokio::test]
async fn what_no_copy_sends_is_refused_even_if_it_is_signed() {
    let leader = Leading::start(10_000).await;
    let entry = json!({"uid": room().to_string(), "event": "missed"});
    let many = json!({"wakes": vec![entry; BATCH + 1]}).to_string();
    let newer = json!({"wakes": [{"uid": room().to_string(), "event": "invented"}]}).to_string();
    for (nonce, body, status, result) in [
        (1, "{".to_owned(), 400, "malformed"),
        (
            2,
            json!({"wakes": [{"uid": "x", "event": "missed"}]}).to_string(),
            400,
            "malformed",
        ),
        (3, many, 400, "malformed"),
        (4, " ".repeat(BODY_LIMIT + 1), 413, "oversized"),
        (5, newer, 202, "accepted"),
    ] {
        let authorization = leader.sealed(&keys(), body.as_bytes(), (nonce, 0));
        let before = leader.counted(result);
        assert_eq!(leader.post(&authorization, body.as_bytes()).await, status);
        assert_eq!(leader.counted(result), before + 1, "{result}");
    }
    assert_eq!(leader.wakes.drain(), []);
    let other = format!("http://{}/v1/lifecycle", leader.server.address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(other).send().await.unwrap().status(), 404);
}
