//! A cluster's network that is played: a proxy at which pods reach Services by their names.
//!
//! A real cluster has DNS and kube-proxy; here the pods are told of a proxy (`HTTPS_PROXY`) and ask it to CONNECT to
//! `name.namespace.svc`. It looks the Service up and passes the bytes to a ready endpoint, so that TLS is between the two
//! ends as in a cluster. Loopback addresses are connected to as they are; nothing else can be reached.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ListParams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::listening::Listening;
use crate::service::chosen;

/// More than any head of a CONNECT request has.
const HEAD: usize = 4096;

/// The proxy. Ends when it is dropped.
#[derive(Debug)]
pub struct Network(Listening);

impl Network {
    /// Listens on a free loopback port.
    pub fn start(cluster: &Cluster) -> Result<Self, Error> {
        let cluster = cluster.clone();
        Listening::start("cluster's network", move |listener, stopped| async move {
            serve(&cluster, listener, stopped).await
        })
        .map(Self)
    }

    /// As the variable `HTTPS_PROXY` names it.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }
}

async fn serve(
    cluster: &Cluster,
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let client = cluster.admin().await?;
    loop {
        tokio::select! {
            _ = &mut stopped => return Ok(()),
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(pass(client.clone(), stream));
                }
            }
        }
    }
}

/// Serves one connection. What cannot be reached is answered as a proxy does.
async fn pass(client: Client, mut near: TcpStream) -> std::io::Result<()> {
    let asked = target(&head(&mut near).await?);
    let address = match &asked {
        Some((host, port)) => resolved(&client, host, *port).await,
        None => None,
    };
    let far = match address {
        Some(address) => TcpStream::connect(address).await.ok(),
        None => None,
    };
    let Some(mut far) = far else {
        let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
        return near.write_all(answer).await;
    };
    near.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

/// Reads up to the empty line. Nobody sends more before the answer.
async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") && read.len() < HEAD {
        let mut piece = [0; 512];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        read.extend_from_slice(&piece[..length]);
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// Host and port of `CONNECT host:port HTTP/1.1`.
fn target(head: &str) -> Option<(String, u16)> {
    let mut words = head.lines().next()?.split(' ');
    if words.next() != Some("CONNECT") {
        return None;
    }
    let (host, port) = words.next()?.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// Name and namespace of a Service's name in DNS.
fn service(host: &str) -> Option<(&str, &str)> {
    let host = host.trim_end_matches(".cluster.local");
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    (!namespace.contains('.')).then_some((name, namespace))
}

async fn resolved(client: &Client, host: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback().then(|| (address, port).into());
    }
    let (name, namespace) = service(host)?;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let ports = services.get(name).await.ok()?.spec?.ports?;
    let known = ports.iter().find(|known| known.port == i32::from(port))?;
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let slices = slices.list(&of_service).await.ok()?;
    chosen(&slices.items, known.name.as_deref().unwrap_or_default(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_host_and_port() {
        let asked = target("CONNECT graph.apps.svc:8600 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(asked, Some(("graph.apps.svc".to_owned(), 8600)));
        assert_eq!(target("GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(target("CONNECT graph.apps.svc HTTP/1.1\r\n\r\n"), None);
        assert_eq!(target(""), None);
    }

    #[test]
    fn a_services_name_has_its_namespace() {
        assert_eq!(service("graph.apps.svc"), Some(("graph", "apps")));
        let full = service("graph.apps.svc.cluster.local");
        assert_eq!(full, Some(("graph", "apps")));
        assert_eq!(service("graph.microsoft.com"), None);
        assert_eq!(service("a.b.c.svc"), None);
    }
}
