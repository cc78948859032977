//! A Service that is played: a loopback port whose connections go to a ready pod of a Service, so that an address stays
//! while pods come and go.
//!
//! Endpoints are those of the Service's EndpointSlices, as kube-proxy sees them: ready ones in turn; when there are none,
//! those that still serve while they end. Without any, a connection is closed at once. Nothing is tried a second time:
//! what a client would lose in a cluster, it loses here. Needs the endpointslice controller.

use std::borrow::Borrow;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::Api;
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::kubelet::on_machine;
use crate::listening::Listening;

/// A port of a Service on this machine. Ends when it is dropped.
#[derive(Debug)]
pub struct ServicePort(Listening);

/// Which port of which Service.
#[derive(Clone, Debug)]
struct Named {
    namespace: String,
    service: String,
    port: String,
}

impl ServicePort {
    /// Listens on a free loopback port. The Service need not be there yet.
    pub fn start(
        cluster: &Cluster,
        namespace: &str,
        service: &str,
        port: &str,
    ) -> Result<Self, Error> {
        let cluster = cluster.clone();
        let named = Named {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            port: port.to_owned(),
        };
        let name = format!("Service {service}");
        Listening::start(&name, move |listener, stopped| async move {
            serve(&cluster, listener, &named, stopped).await
        })
        .map(Self)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// The same as a URL without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }
}

async fn serve(
    cluster: &Cluster,
    listener: TcpListener,
    named: &Named,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.admin().await?, &named.namespace);
    let label = format!("kubernetes.io/service-name={}", named.service);
    let (store, writer) = reflector::store();
    let events = watcher(slices, watcher::Config::default().labels(&label));
    let mut events = pin!(events.default_backoff().reflect(writer));
    let turn = AtomicUsize::new(0);
    loop {
        tokio::select! {
            _ = &mut stopped => return Ok(()),
            _ = events.next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                if let Some(endpoint) = chosen(&store.state(), &named.port, turn) {
                    tokio::spawn(forward(client, endpoint));
                }
            }
        }
    }
}

async fn forward(mut client: TcpStream, endpoint: SocketAddr) {
    // An end that is gone ends the connection, which is all that can be said about it.
    if let Ok(mut server) = TcpStream::connect(endpoint).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Whose turn it is.
pub(crate) fn chosen<S: Borrow<EndpointSlice>>(
    slices: &[S],
    port: &str,
    turn: usize,
) -> Option<SocketAddr> {
    let conditions = |endpoint: &Endpoint| endpoint.conditions.clone().unwrap_or_default();
    let ready = |endpoint: &Endpoint| conditions(endpoint).ready != Some(false);
    let serving = |endpoint: &Endpoint| conditions(endpoint).serving == Some(true);
    let mut candidates = addresses(slices, port, ready);
    if candidates.is_empty() {
        candidates = addresses(slices, port, serving);
    }
    candidates.sort();
    candidates.get(turn % candidates.len().max(1)).copied()
}

fn addresses<S: Borrow<EndpointSlice>>(
    slices: &[S],
    port: &str,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in slices {
        let slice = slice.borrow();
        let mut ports = slice.ports.iter().flatten();
        let number = ports
            .find(|known| known.name.as_deref() == Some(port))
            .and_then(|known| u16::try_from(known.port?).ok());
        let Some(number) = number else { continue };
        let endpoints = slice.endpoints.iter().filter(|endpoint| wanted(endpoint));
        let ips = endpoints.filter_map(|endpoint| endpoint.addresses.first());
        let ips = ips.filter_map(|ip| ip.parse::<Ipv4Addr>().ok());
        found.extend(ips.map(|ip| on_machine(ip, number)));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: &[Value]) -> Vec<Arc<EndpointSlice>> {
        let slice = json!({
            "addressType": "IPv4", "endpoints": endpoints, "metadata": {},
            "ports": [{"name": "metrics", "port": 1}, {"name": "receiver", "port": 2}],
        });
        vec![Arc::new(serde_json::from_value(slice).unwrap())]
    }

    fn endpoint(ip: &str, ready: bool, serving: bool) -> Value {
        json!({"addresses": [ip], "conditions": {"ready": ready, "serving": serving}})
    }

    #[test]
    fn ready_endpoints_take_turns_on_the_port_of_that_name() {
        let slices = slice(&[
            endpoint("10.0.0.2", true, true),
            endpoint("10.0.0.1", true, true),
            endpoint("10.0.0.3", false, true),
        ]);
        let seen: Vec<String> = (0..3)
            .map(|turn| chosen(&slices, "receiver", turn).unwrap().to_string())
            .collect();
        assert_eq!(
            seen,
            ["127.0.0.1:20002", "127.0.0.2:20002", "127.0.0.1:20002"]
        );
        assert_eq!(chosen(&slices, "other", 0), None);
    }

    #[test]
    fn who_ends_serves_only_when_nobody_is_ready() {
        let ending = slice(&[
            endpoint("10.0.0.1", false, true),
            endpoint("10.0.0.2", false, false),
        ]);
        let seen = chosen(&ending, "receiver", 1).unwrap().to_string();
        assert_eq!(seen, "127.0.0.1:20002");
        let gone = slice(&[endpoint("10.0.0.1", false, false)]);
        assert_eq!(chosen(&gone, "receiver", 0), None);
    }
}
