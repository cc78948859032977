//! This copy beside others: the Lease that one of them holds, where that one takes what the others were told by Graph,
//! and passing on while this one does not lead.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{Edges, Inside};
use crate::config::{Config, Election};
use crate::leader::whereabouts::Whereabouts;
use crate::leader::{Candidate, Elector, Leadership};
use crate::notification::forward::{FindLeader, Forwarder, Leader, Others};

/// Competes for the Lease.
pub(super) fn elect(config: &Config, inside: &Inside, edges: &Edges) -> Elector {
    let (clock, gauge) = (inside.clock.clone(), &inside.metrics.leader);
    match &config.election {
        Election::Off => Elector::always(&clock, gauge),
        Election::Lease(lease) => Elector::start(Candidate {
            client: edges.lease.clone(),
            lease: lease.clone(),
            identity: inside.me.to_string(),
            wakes_at: edges.reached_at,
            clock,
            timing: config.lease_timing,
            gauge: gauge.clone(),
        }),
    }
}

/// Passes on whatever comes while this copy does not lead; nothing where there are no others.
pub(super) fn forwarder(config: &Config, inside: &Inside, edges: &Edges) -> Option<Forwarder> {
    let Election::Lease(lease) = &config.election else {
        return None;
    };
    Some(Forwarder::new(
        Arc::clone(&inside.identity),
        inside.wakes.clone(),
        inside.metrics.clone(),
        inside.clock.clone(),
        Others {
            leaders: Arc::new(ByLease(Whereabouts::new(edges.cluster.clone(), lease))),
            carrier: edges.copies.clone(),
        },
    ))
}

/// Whether this copy leads, also after the election has ended.
pub(super) async fn tell(
    leading: watch::Sender<bool>,
    mut leadership: watch::Receiver<Leadership>,
) {
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
