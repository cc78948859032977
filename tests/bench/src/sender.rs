//! Sends requests at the moments for which they were planned, whether or not earlier ones were answered, on connections
//! that stay open. An answer's time counts from the planned moment: a receiver that stalls is charged for everything that
//! had to wait.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench::process::Usage;
use bench::sending::{Latencies, Outcome, Plan, Post};
use clap::Parser;
use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Sends requests at a steady rate and tells how long the answers took
#[derive(Debug, Parser)]
struct Flags {
    /// Where to
    #[arg(long)]
    to: SocketAddr,
    /// Whose certificate to trust; without it there is no TLS
    #[arg(long)]
    ca: Option<PathBuf>,
    /// A file with what is sent, as JSON
    #[arg(long)]
    plan: PathBuf,
    /// Notifications a second
    #[arg(long)]
    rate: u32,
    /// For so many seconds
    #[arg(long)]
    seconds: u32,
    /// Connections for notifications
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Connection = SendRequest<Full<Bytes>>;

/// How often it is looked whether something is due.
const BEAT: Duration = Duration::from_micros(200);

#[tokio::main]
async fn main() -> ExitCode {
    match send(&Flags::parse()).await.and_then(|it| tell(&it)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "sender: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn send(flags: &Flags) -> Result<Outcome, Failure> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(&flags.plan)?)?;
    let connecting = (0..flags.connections).map(|_| connect(flags));
    let connections = try_join_all(connecting).await?;
    let aside = connect(flags).await?;
    let before = Usage::own()?.cpu;
    let begin = Instant::now();
    let seconds = u64::from(flags.seconds);
    let notifications = Stream::new(&plan.notifications, (flags.rate, seconds), begin)?;
    let handshakes = Stream::new(&[plan.handshake], (plan.handshakes, seconds), begin)?;
    let (notifications, handshakes) =
        tokio::try_join!(notifications.run(connections), handshakes.run(vec![aside]))?;
    Ok(Outcome {
        seconds: begin.elapsed().as_secs_f64(),
        notifications,
        handshakes,
        processor_seconds: Usage::own()?.cpu.saturating_sub(before).as_secs_f64(),
    })
}

async fn connect(flags: &Flags) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(flags.to).await?;
    stream.set_nodelay(true)?;
    let Some(ca) = &flags.ca else {
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        return Ok(connection);
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::IpAddress(flags.to.ip().into());
    let stream = connector.connect(name, stream).await?;
    let (connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(connection)
}

/// Requests that follow each other at a steady rate.
struct Stream {
    requests: Vec<(Request<Full<Bytes>>, u16)>,
    rate: u32,
    total: u64,
    begin: Instant,
    /// Those whose moment has come and that nobody has taken.
    due: Semaphore,
    taken: AtomicU64,
}

impl Stream {
    fn new(
        posts: &[Post],
        (rate, seconds): (u32, u64),
        begin: Instant,
    ) -> Result<Arc<Self>, Failure> {
        let requests: Result<Vec<_>, Failure> = posts.iter().map(request).collect();
        Ok(Arc::new(Self {
            requests: requests?,
            rate,
            total: u64::from(rate) * seconds,
            begin,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
        }))
    }

    async fn run(self: Arc<Self>, connections: Vec<Connection>) -> Result<Latencies, Failure> {
        let pacer = Arc::clone(&self);
        // A thread of its own: the runtime's timers are only exact to a millisecond.
        std::thread::spawn(move || pacer.release());
        let sending = connections.into_iter().map(|connection| {
            let stream = Arc::clone(&self);
            async move { tokio::spawn(stream.follow(connection)).await? }
        });
        let (mut milliseconds, mut otherwise) = (Vec::new(), 0);
        for (some, other) in try_join_all(sending).await? {
            milliseconds.extend(some);
            otherwise += other;
        }
        Ok(Latencies::of(milliseconds, otherwise))
    }

    /// Lets requests go when their moment comes.
    fn release(&self) {
        let mut released = 0;
        while released < self.total {
            let passed = self.begin.elapsed().as_nanos() * u128::from(self.rate);
            let come = u64::try_from(passed / 1_000_000_000).unwrap_or(u64::MAX);
            let come = come.saturating_add(1).min(self.total);
            let number = usize::try_from(come - released).unwrap_or_default();
            self.due.add_permits(number);
            released = come;
            std::thread::park_timeout(BEAT);
        }
    }

    /// Sends what is due on one connection, one after the other: how long each took, and how many were answered otherwise.
    async fn follow(
        self: Arc<Self>,
        mut connection: Connection,
    ) -> Result<(Vec<f64>, u64), Failure> {
        let (mut milliseconds, mut otherwise) = (Vec::new(), 0);
        loop {
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            if number >= self.total {
                return Ok((milliseconds, otherwise));
            }
            self.due.acquire().await?.forget();
            let at = usize::try_from(number).unwrap_or_default() % self.requests.len();
            let (request, expected) = &self.requests[at];
            connection.ready().await?;
            let answer = connection.send_request(request.clone()).await?;
            let status = answer.status().as_u16();
            answer.into_body().collect().await?;
            if status == *expected {
                let nanoseconds = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
                let planned = Duration::from_nanos(u64::try_from(nanoseconds)?);
                let late = self.begin.elapsed().saturating_sub(planned);
                milliseconds.push(late.as_secs_f64() * 1000.0);
            } else {
                otherwise += 1;
            }
        }
    }
}

fn request(post: &Post) -> Result<(Request<Full<Bytes>>, u16), Failure> {
    let request = Request::post(post.path.parse::<Uri>()?)
        .header(header::HOST, "receiver.example")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(post.body.clone())))?;
    Ok((request, post.expected))
}

fn tell(outcome: &Outcome) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string(outcome)?)?;
    Ok(())
}
