//! Asking a container how it is: the actions of probes and hooks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use super::address::moved;
use super::ground::missing;
use super::sandbox::Sandbox;
use crate::error::Error;
use crate::guard::Guarded;

/// A container that can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) container: &'a Container,
    pub(super) sandbox: &'a Sandbox,
    pub(super) address: Ipv4Addr,
}

impl Target<'_> {
    /// Whether the container answers a probe well, in time.
    pub(super) async fn passes(&self, probe: &Probe) -> bool {
        let seconds = probe.timeout_seconds.unwrap_or(1).max(1);
        let limit = Duration::from_secs(seconds.unsigned_abs().into());
        tokio::time::timeout(limit, self.ask(probe, limit))
            .await
            .is_ok_and(|answer| answer.is_ok())
    }

    async fn ask(&self, probe: &Probe, limit: Duration) -> Result<(), Error> {
        if let Some(get) = &probe.http_get {
            return self.get(get, limit).await;
        }
        if let Some(socket) = &probe.tcp_socket {
            let address = SocketAddr::from((self.address, self.port(&socket.port)?));
            let connected = TcpStream::connect(address).await;
            return connected
                .map(|_| ())
                .map_err(|error| missing("the port", &error.to_string()));
        }
        match &probe.exec {
            Some(action) => self.call(action, limit).await,
            None => Err(missing("a probe", "gRPC is not played")),
        }
    }

    /// An HTTP call that ends well: below 400, as the kubelet sees it. Certificates are not looked at.
    pub(super) async fn get(&self, get: &HTTPGetAction, limit: Duration) -> Result<(), Error> {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let path = get.path.as_deref().unwrap_or("/").trim_start_matches('/');
        let port = self.port(&get.port)?;
        let url = format!("{scheme}://{}:{port}/{path}", self.address);
        let failed = |error: reqwest::Error| missing(&url, &error.to_string());
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(limit)
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(failed)?;
        let mut request = client.get(&url);
        for header in get.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        let status = request.send().await.map_err(failed)?.status();
        match status.as_u16() {
            200..400 => Ok(()),
            code => Err(missing(&url, &format!("the answer is {code}"))),
        }
    }

    /// A program call that ends well.
    pub(super) async fn call(&self, action: &ExecAction, limit: Duration) -> Result<(), Error> {
        let words = action.command.as_deref().unwrap_or_default();
        let mut process = Guarded::spawn("a probe", self.sandbox.other_command(words))?;
        let status = process.end(limit).await?;
        if status.success() {
            return Ok(());
        }
        Err(missing("a probe", &status.to_string()))
    }

    /// A port by number, or by the name that the container gives it, as it is on this machine.
    fn port(&self, port: &IntOrString) -> Result<u16, Error> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let mut ports = self.container.ports.iter().flatten();
                let named = ports.find(|port| port.name.as_deref() == Some(name));
                named.map(|port| port.container_port)
            }
        };
        number
            .and_then(|number| u16::try_from(number).ok())
            .map(moved)
            .ok_or_else(|| missing("a port", &format!("{port:?} is none of the container's")))
    }
}
