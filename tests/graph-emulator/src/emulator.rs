//! A running emulator and the handle to it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::admin;
use crate::call::Origin;
use crate::clock::Clock;
use crate::control::{Control, ControlError, Removal};
use crate::core::Core;
use crate::fault::Faults;
use crate::graph::events::Booking;
use crate::journal::{Counts, JournalEntry};
use crate::notify::LifecycleEvent;
use crate::outgoing::network;
use crate::service::{EmulatorService, ForEachConnection};
use crate::state::subscriptions::Subscription;
use crate::tls::{TlsError, TlsFiles};
use crate::world::{World, WorldError};

/// Where and how an emulator runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Entra and Graph listen; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// Serve HTTPS with the files in this directory, made if there are none.
    pub tls_dir: Option<PathBuf>,
    /// Certificates in PEM that HTTPS receivers may show besides publicly trusted ones.
    pub trust_ca: Option<PathBuf>,
    /// Reach receivers by the proxy that the environment names (`HTTPS_PROXY` and the like), if it names one.
    pub environment_proxy: bool,
    /// Fixes all ids; random if missing.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            admin: any,
            tls_dir: None,
            trust_ca: None,
            environment_proxy: false,
            seed: None,
        }
    }
}

/// Why an emulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The world was refused.
    #[error(transparent)]
    World(#[from] WorldError),
    /// There is no certificate.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The files of the TLS directory were refused.
    #[error("tls.crt and tls.key of the TLS directory were refused: {0}; do they belong together?")]
    TlsFiles(std::io::Error),
    /// An address is not free.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The certificates to trust are not readable.
    #[error("{path}: {reason}")]
    TrustCa {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// No client for notifications.
    #[error("the HTTP client was not made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A running emulator. It stops when it is dropped, or with [`Emulator::stop`] in an orderly way.
#[derive(Debug)]
pub struct Emulator {
    control: Control,
    origin: Arc<Origin>,
    admin: SocketAddr,
    authority: Option<String>,
    handles: [Handle<SocketAddr>; 2],
    servers: Vec<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator; it listens when this returns.
    pub async fn start(world: World, options: Options) -> Result<Self, StartError> {
        world.check()?;
        let tls = options
            .tls_dir
            .as_deref()
            .map(TlsFiles::load_or_make)
            .transpose()?;
        let outgoing = network(client(&options)?);
        let seed = options.seed.unwrap_or_else(rand::random);
        let core = Core::new(world, seed, outgoing, Clock::system());
        let (listener, address) = listen(options.listen)?;
        let (admin_listener, admin) = listen(options.admin)?;
        let origin = Arc::new(Origin {
            scheme: if tls.is_some() { "https" } else { "http" },
            authority: address.to_string(),
        });
        let service = EmulatorService {
            core: Arc::clone(&core),
            origin: Arc::clone(&origin),
        };
        let handles = [Handle::new(), Handle::new()];
        let control = Control(core);
        let servers = vec![
            serve(
                listener,
                address,
                tls.as_ref(),
                (service, handles[0].clone()),
            )
            .await?,
            serve_admin(admin_listener, admin, control.clone(), handles[1].clone())?,
        ];
        Ok(Self {
            control,
            origin,
            admin,
            authority: tls.map(|tls| tls.authority),
            handles,
            servers,
        })
    }

    /// Base URL of Entra and Graph, with a trailing slash: Graph is at `v1.0/` below it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}/", self.origin.scheme, self.origin.authority)
    }

    /// Base URL of the admin port, with a trailing slash.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}/", self.admin)
    }

    /// The authority that signed the certificate, in PEM, when HTTPS is served.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.authority.clone()
    }

    /// Entra and Graph without sockets.
    #[must_use]
    pub fn service(&self) -> EmulatorService {
        EmulatorService {
            core: Arc::clone(&self.control.0),
            origin: Arc::clone(&self.origin),
        }
    }

    /// Calls that were answered after the one with this number.
    #[must_use]
    pub fn journal(&self, since: u64) -> Vec<JournalEntry> {
        self.control.journal(since)
    }

    /// How often each operation was answered with each status, and what became of notifications.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.control.counts()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Faults) {
        self.control.set_faults(faults);
    }

    /// How often each rule has fired since the rules were set, in their order: shows that a call is under way that a
    /// rule delays.
    #[must_use]
    pub fn faults_fired(&self) -> Vec<u64> {
        self.control.faults_fired()
    }

    /// Moves the emulator's clock forward.
    pub fn advance(&self, by: Duration) {
        self.control.advance(by);
    }

    /// The emulator's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.control.now()
    }

    /// The world as it is.
    #[must_use]
    pub fn world(&self) -> World {
        self.control.world()
    }

    /// Replaces the world; subscriptions, events and clock of what remains are kept.
    pub fn set_world(&self, world: World) -> Result<(), WorldError> {
        self.control.set_world(world)
    }

    /// Changes the world; nothing is changed if the result contradicts itself.
    pub fn update_world(&self, change: impl FnOnce(&mut World)) -> Result<(), WorldError> {
        let mut world = self.control.world();
        change(&mut world);
        self.control.set_world(world)
    }

    /// Books a meeting in the mailbox with this primary address; returns the event's id.
    pub fn book(&self, address: &str, booking: &Booking) -> Result<String, ControlError> {
        self.control.book(address, booking)
    }

    /// Every subscription that is alive.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.control.subscriptions()
    }

    /// Every `clientState` that somebody sent, also of subscriptions that are gone or were refused; the newest 20,000.
    #[must_use]
    pub fn client_states(&self) -> Vec<String> {
        self.control.client_states()
    }

    /// Removes a subscription behind its owner's back.
    pub fn remove_subscription(
        &self,
        id: &str,
        removal: impl Into<Removal>,
    ) -> Result<(), ControlError> {
        self.control.remove_subscription(id, removal.into())
    }

    /// Sends a lifecycle event to a subscription's lifecycle URL.
    pub fn send_lifecycle(&self, id: &str, event: LifecycleEvent) -> Result<(), ControlError> {
        self.control.send_lifecycle(id, event)
    }

    /// Closes the ports and ends all deliveries.
    pub async fn stop(mut self) {
        self.control.0.stopping.cancel();
        for handle in &self.handles {
            handle.shutdown();
        }
        for server in self.servers.drain(..) {
            // It ended, one way or the other.
            drop(server.await);
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.control.0.stopping.cancel();
        for handle in &self.handles {
            handle.shutdown();
        }
    }
}

fn client(options: &Options) -> Result<reqwest::Client, StartError> {
    let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if !options.environment_proxy {
        builder = builder.no_proxy();
    }
    if let Some(path) = &options.trust_ca {
        let wrong = |reason: String| StartError::TrustCa {
            path: path.clone(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("it has no certificate in PEM".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder.build()?)
}

/// `[::]` is every address of IPv6 and IPv4, and of IPv4 alone where the kernel has no other.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let wrong = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address)
        .or_else(|refused| {
            if refused.kind() == ErrorKind::AddrInUse || address.ip() != Ipv6Addr::UNSPECIFIED {
                return Err(refused);
            }
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).map_err(|_| refused)
        })
        .map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    Ok((listener, bound))
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<&TlsFiles>,
    (service, handle): (EmulatorService, Handle<SocketAddr>),
) -> Result<JoinHandle<()>, StartError> {
    let wrong = |source| StartError::Listen { address, source };
    let service = ForEachConnection(service);
    let Some(tls) = tls else {
        let server = axum_server::from_tcp(listener)
            .map_err(wrong)?
            .handle(handle);
        return Ok(tokio::spawn(
            async move { log(server.serve(service).await) },
        ));
    };
    let certificate = tls.certificate.clone().into_bytes();
    let config = RustlsConfig::from_pem(certificate, tls.key.clone().into_bytes())
        .await
        .map_err(StartError::TlsFiles)?;
    let server = axum_server::from_tcp_rustls(listener, config).map_err(wrong)?;
    let server = server.handle(handle);
    Ok(tokio::spawn(
        async move { log(server.serve(service).await) },
    ))
}

fn serve_admin(
    listener: TcpListener,
    address: SocketAddr,
    control: Control,
    handle: Handle<SocketAddr>,
) -> Result<JoinHandle<()>, StartError> {
    let wrong = |source| StartError::Listen { address, source };
    let server = axum_server::from_tcp(listener)
        .map_err(wrong)?
        .handle(handle);
    let router = admin::router(control).into_make_service();
    Ok(tokio::spawn(async move { log(server.serve(router).await) }))
}

fn log(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "a listener ended");
    }
}
