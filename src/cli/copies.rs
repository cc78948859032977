//! This copy beside others: the Lease that one of them holds, where that one takes what the others were told by Graph,
//! and passing on while this one does not lead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use super::run::Failure;
use crate::clock::{Clock, sleep};
use crate::config::{Config, Election};
use crate::leader::whereabouts::Whereabouts;
use crate::leader::{self, Candidate, Elector, Leadership};
use crate::metrics::Metrics;
use crate::notification::forward::{FindLeader, Forwarder, Leader};
use crate::notification::forwarded::{ForwardedState, router};
use crate::notification::receiver::IdentitySlot;
use crate::notification::server::{Server, Socket};
use crate::notification::wake::WakeQueue;

/// How long what came last may take to reach the copy that leads now: it has to take the Lease first.
const LAST_WAKES: Duration = Duration::from_secs(3);

/// How often it is looked whether all of it is gone.
const LOOK: Duration = Duration::from_millis(50);

/// What the receiver and copies meet in.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) identity: IdentitySlot,
    pub(super) wakes: WakeQueue,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
}

/// See the module.
pub(super) struct Copies {
    shared: Shared,
    /// As the Lease calls this process.
    me: Arc<str>,
    leading: watch::Sender<bool>,
    /// Where other copies reach this one.
    port: Option<Server>,
    election: Election,
    reached_at: Option<SocketAddr>,
}

impl Copies {
    /// Opens the port for other copies, if they are to be told of it.
    pub(super) async fn open(config: &Config, shared: Shared) -> Result<Self, Failure> {
        let me: Arc<str> = leader::identity(std::env::var("HOSTNAME").ok().as_deref()).into();
        let leading = watch::Sender::new(false);
        let mut copies = Self {
            shared,
            me,
            leading,
            port: None,
            election: config.election.clone(),
            reached_at: None,
        };
        if let (Some(ip), Election::Lease(_)) = (config.advertise_address, &config.election) {
            let socket = Socket {
                listen: config.wakes_listen,
                tls_dir: None,
            };
            let port = Server::start(socket, router(copies.state())).await?;
            let address = SocketAddr::new(ip, port.address().port());
            tracing::info!(%address, "other copies reach this one");
            copies.reached_at = Some(address);
            copies.port = Some(port);
        }
        Ok(copies)
    }

    fn state(&self) -> ForwardedState {
        let Shared {
            identity,
            wakes,
            metrics,
            clock,
        } = self.shared.clone();
        let who = (Arc::clone(&self.me), self.leading.subscribe());
        ForwardedState::new(who, identity, wakes, metrics, clock)
    }

    /// Competes for the Lease through a client of its own.
    pub(super) fn elect(&self, cluster: kube::Config) -> Result<Elector, Failure> {
        let (clock, gauge) = (self.shared.clock.clone(), &self.shared.metrics.leader);
        Ok(match &self.election {
            Election::Off => Elector::always(&clock, gauge),
            Election::Lease(lease) => Elector::start(Candidate {
                client: leader::client(cluster)?,
                lease: lease.clone(),
                identity: self.me.to_string(),
                wakes_at: self.reached_at,
                clock,
                gauge: gauge.clone(),
            }),
        })
    }

    /// Passes on whatever comes while this copy does not lead, until the process ends.
    pub(super) fn pass_on(
        &self,
        client: kube::Client,
        leadership: watch::Receiver<Leadership>,
    ) -> Result<(), Failure> {
        tokio::spawn(tell(self.leading.clone(), leadership));
        let Election::Lease(lease) = &self.election else {
            return Ok(());
        };
        let leaders = Arc::new(ByLease(Whereabouts::new(client, lease)));
        let Shared {
            identity,
            wakes,
            metrics,
            clock,
        } = self.shared.clone();
        let forwarder = Forwarder::new(identity, wakes, metrics, clock, leaders)?;
        tokio::spawn(forwarder.run(self.leading.subscribe()));
        Ok(())
    }

    /// After the Lease was released and the receiver has closed: what came last still reaches the copy that leads now.
    pub(super) async fn last_wakes(self) {
        let Election::Lease(_) = self.election else {
            return;
        };
        let left = || self.shared.wakes.left();
        let gone = async {
            while left() != (0, true) {
                sleep(LOOK).await;
            }
        };
        if timeout(LAST_WAKES, gone).await.is_err() {
            tracing::warn!(
                "lifecycle events came last and could be passed on to no other copy: sweeps and checks make up for them"
            );
        }
        if let Some(port) = self.port {
            port.drain(Duration::ZERO).await;
        }
    }
}

/// Whether this copy leads, also after the election has ended.
async fn tell(leading: watch::Sender<bool>, mut leadership: watch::Receiver<Leadership>) {
    loop {
        let leads = matches!(*leadership.borrow_and_update(), Leadership::Leading(_));
        leading.send_replace(leads);
        if leadership.changed().await.is_err() {
            break;
        }
    }
    leading.send_replace(false);
}

/// Asks the Lease each time: this is rare, and who leads may have changed.
#[derive(Debug)]
struct ByLease(Whereabouts);

impl FindLeader for ByLease {
    fn find(&self) -> BoxFuture<'_, Option<Leader>> {
        async {
            let (address, identity) = self.0.find().await?;
            Some(Leader { address, identity })
        }
        .boxed()
    }
}
