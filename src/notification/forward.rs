//! Passes what Graph told a copy that does not lead on to the one that does.
//!
//! Wakes wait in the queue in which they wait for this copy to lead, and leave it when the other one has taken them: while
//! nobody leads, or the one that leads says nowhere where it can be reached, they are kept.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use futures::future::BoxFuture;
use rand::RngExt;
use reqwest::redirect::Policy;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

use super::forwarded::{BATCH, Message, PATH, SCHEME};
use super::receiver::IdentitySlot;
use super::wake::{Wake, WakeQueue};
use crate::carrier::{Carrier, by_network, within};
use crate::clock::{Clock, sleep};
use crate::domain::identity::forward::Nonce;
use crate::metrics::Metrics;

/// How long the first wake waits for others to travel with.
const GATHER: Duration = Duration::from_millis(100);

/// Pauses between attempts: the first, and the longest. In between each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long one attempt may take. The leader only puts the wakes into its queue.
const PATIENCE: Duration = Duration::from_secs(3);

/// The copy that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Where it takes wakes.
    pub address: SocketAddr,
    /// As the Lease calls it.
    pub identity: String,
}

/// Finds the copy that leads.
pub trait FindLeader: Send + Sync + fmt::Debug {
    /// Nothing when nobody leads, or the one that leads cannot be reached by others.
    fn find(&self) -> BoxFuture<'_, Option<Leader>>;
}

/// The way to other copies.
#[derive(Clone, Debug)]
pub struct Others {
    /// Who of them leads.
    pub leaders: Arc<dyn FindLeader>,
    /// What takes messages to them: see [`network`].
    pub carrier: Carrier,
}

/// Longest answer of another copy that is read; only its status counts.
const ANSWER_LIMIT: usize = 4 * 1024;

/// The network, as calls to other copies need it: straight to one in the same cluster, whatever the environment says of
/// proxies.
///
/// # Errors
/// When there can be no HTTP client.
pub fn network() -> reqwest::Result<Carrier> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .pool_max_idle_per_host(1)
        .build()?;
    Ok(by_network(client, ANSWER_LIMIT))
}

/// Why wakes were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// There is nobody to send them to, or no key to sign with.
    NobodyToSendTo,
    /// The leader did not answer, or puts it off.
    Unanswered,
    /// The leader does not believe or understand us.
    Refused(StatusCode),
}

/// See the module.
#[derive(Debug)]
pub struct Forwarder {
    identity: IdentitySlot,
    wakes: WakeQueue,
    metrics: Metrics,
    clock: Clock,
    leaders: Arc<dyn FindLeader>,
    carrier: Carrier,
}

impl Forwarder {
    /// Passes on what waits in `wakes`, signed by a key of `identity`.
    #[must_use]
    pub fn new(
        identity: IdentitySlot,
        wakes: WakeQueue,
        metrics: Metrics,
        clock: Clock,
        others: Others,
    ) -> Self {
        Self {
            identity,
            wakes,
            metrics,
            clock,
            leaders: others.leaders,
            carrier: within(others.carrier, PATIENCE),
        }
    }

    /// Works whenever this copy does not lead, for as long as somebody can tell.
    pub async fn run(self, mut leading: watch::Receiver<bool>) {
        while leading.wait_for(|leading| !*leading).await.is_ok() {
            tokio::select! {
                // What was taken from the queue waits there again.
                _ = leading.wait_for(|leading| *leading) => {}
                () = self.pass_on() => {}
            }
        }
    }

    async fn pass_on(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.wakes.filled().await;
            sleep(GATHER).await;
            let taken = self.wakes.take(BATCH);
            if taken.wakes().is_empty() {
                continue;
            }
            match self.deliver(taken.wakes()).await {
                Ok(()) => {
                    tracing::info!(
                        count = taken.wakes().len(),
                        "lifecycle events were passed on to the copy that leads"
                    );
                    taken.delivered();
                    pause = FIRST_PAUSE;
                }
                Err(kept) => {
                    drop(taken);
                    tell(kept);
                    sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn deliver(&self, wakes: &[Wake]) -> Result<(), Kept> {
        let identity = self.identity.load_full().ok_or(Kept::NobodyToSendTo)?;
        let leader = timeout(PATIENCE, self.leaders.find()).await.ok().flatten();
        let leader = leader.ok_or(Kept::NobodyToSendTo)?;
        let Ok(body) = serde_json::to_vec(&Message::of(wakes)) else {
            return Err(Kept::NobodyToSendTo);
        };
        let nonce = rand::rng().random::<Nonce>();
        let now = (self.clock.now(), nonce);
        let seal = identity.keys.seal(&leader.identity, &body, now);
        let request = Request::post(format!("http://{}{PATH}", leader.address))
            .header(header::AUTHORIZATION, format!("{SCHEME} {seal}"))
            .body(body);
        let Ok(request) = request else {
            return Err(Kept::NobodyToSendTo);
        };
        let answer = self.carrier.clone().oneshot(request).await;
        let outcome = match answer.map(|carried| carried.response.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) if status.is_client_error() => Err(Kept::Refused(status)),
            Ok(_) | Err(_) => Err(Kept::Unanswered),
        };
        let result = match outcome {
            Ok(()) => "delivered",
            Err(Kept::Refused(_)) => "refused",
            Err(Kept::Unanswered | Kept::NobodyToSendTo) => "unanswered",
        };
        self.metrics
            .wake_forwards_sent
            .with_label_values(&[result])
            .inc();
        outcome
    }
}

/// While the leader changes it is usual that one does not answer.
fn tell(kept: Kept) {
    match kept {
        Kept::NobodyToSendTo => {
            tracing::debug!("lifecycle events wait: no leader can be reached by other copies");
        }
        Kept::Unanswered => {
            tracing::info!("the copy that leads does not take lifecycle events; it is tried again");
        }
        Kept::Refused(status) => tracing::warn!(
            status = status.as_u16(),
            "the copy that leads refuses lifecycle events; it is tried again. Do both follow the same key Secret, and do their clocks agree within a minute?"
        ),
    }
}
