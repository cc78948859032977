//! The operator as a process: started with the flags that a Deployment would give it, killed, paused and read.

pub(crate) mod installed;
pub(crate) mod logs;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use crate::error::{Attempt, Error};
use crate::guard::{self, Guarded};
use crate::metrics::Metrics;
use crate::{archive, ports, programs, wait};

use installed::Installation;
use logs::Logs;

const ATTEMPTS: u32 = 3;
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// The operator serves on for a while after SIGTERM, so that no notification is lost.
const DRAIN_DEADLINE: Duration = Duration::from_secs(45);

/// How the operator is started. What is `None` or empty is left to its defaults, but for the addresses: free loopback
/// ports are chosen, and the notification URL is that of the receiver.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// Words that start it; empty for the program that was built from this source.
    pub program: Vec<String>,
    /// With whose rights it works.
    pub kubeconfig: PathBuf,
    /// `--notification-url`.
    pub notification_url: Option<String>,
    /// `--receiver-listen`.
    pub receiver_listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--advertise-address`: then copies pass on to each other what they were told.
    pub advertise_address: Option<IpAddr>,
    /// `--wakes-listen`; a free port, too, of what advertises itself.
    pub wakes_listen: Option<SocketAddr>,
    /// `--allowed-endpoint`, each.
    pub allowed_endpoints: Vec<String>,
    /// `--namespace`, each.
    pub namespaces: Vec<String>,
    /// `--lease-namespace`.
    pub lease_namespace: Option<String>,
    /// `--lease-name`.
    pub lease_name: Option<String>,
    /// `--key-secret`, as namespace/name.
    pub key_secret: Option<String>,
    /// `--rehearsal-pace`.
    pub rehearsal_pace: Option<u32>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Further environment.
    pub environment: Vec<(String, String)>,
    /// By the chart, instead of with [`kubeconfig`](Self::kubeconfig).
    pub installation: Option<Installation>,
}

impl OperatorOptions {
    fn flags(&self) -> Vec<String> {
        let listen = |address: Option<SocketAddr>| address.map(|address| address.to_string());
        let single = [
            ("notification-url", self.notification_url.clone()),
            ("receiver-listen", listen(self.receiver_listen)),
            ("admin-listen", listen(self.admin_listen)),
            (
                "advertise-address",
                self.advertise_address.map(|ip| ip.to_string()),
            ),
            ("wakes-listen", listen(self.wakes_listen)),
            ("lease-namespace", self.lease_namespace.clone()),
            ("lease-name", self.lease_name.clone()),
            ("key-secret", self.key_secret.clone()),
            ("rehearsal-pace", self.rehearsal_pace.map(|n| n.to_string())),
        ];
        let repeated = [
            ("allowed-endpoint", &self.allowed_endpoints),
            ("namespace", &self.namespaces),
        ];
        let single = single
            .into_iter()
            .filter_map(|(flag, value)| Some(format!("--{flag}={}", value?)));
        let repeated = repeated
            .into_iter()
            .flat_map(|(flag, values)| values.iter().map(move |v| format!("--{flag}={v}")));
        single
            .chain(repeated)
            .chain(self.arguments.iter().cloned())
            .collect()
    }

    /// Chooses what is left open, once: a restarted operator listens where it did before.
    fn settled(mut self) -> Result<Self, Error> {
        let free = || ports::free().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        if self.receiver_listen.is_none() {
            self.receiver_listen = Some(free()?);
        }
        if self.admin_listen.is_none() {
            self.admin_listen = Some(free()?);
        }
        let advertised = self.advertise_address.is_some() || self.installation.is_some();
        if advertised && self.wakes_listen.is_none() {
            self.wakes_listen = Some(free()?);
        }
        if let (None, Some(receiver)) = (&self.notification_url, self.receiver_listen) {
            self.notification_url = Some(format!("http://{receiver}"));
        }
        Ok(self)
    }
}

/// An operator. Killed when dropped, and when this program ends.
#[derive(Debug)]
pub struct OperatorProcess {
    options: OperatorOptions,
    child: Guarded,
    logs: Logs,
}

impl OperatorProcess {
    /// Starts it and waits until it is ready. With other addresses, if somebody took one that was chosen here.
    pub async fn start(options: OperatorOptions) -> Result<Self, Error> {
        let chosen = options.receiver_listen.is_none() || options.admin_listen.is_none();
        let mut result = Self::start_once(options.clone()).await;
        for _ in 1..ATTEMPTS {
            if chosen && result.as_ref().is_err_and(an_address_was_taken) {
                result = Self::start_once(options.clone()).await;
            }
        }
        result
    }

    async fn start_once(options: OperatorOptions) -> Result<Self, Error> {
        let mut operator = Self::spawn(options).await?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Starts it, without waiting.
    pub async fn spawn(options: OperatorOptions) -> Result<Self, Error> {
        let options = options.settled()?;
        let logs = Logs::default();
        let child = launch(&options, &logs).await?;
        Ok(Self {
            options,
            child,
            logs,
        })
    }

    /// Waits until `/readyz` says so; an error if the process ends before.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let client = http_client()?;
        let url = format!("{}/readyz", self.admin_url());
        let ended = wait::for_some(
            "the operator is ready",
            READY_DEADLINE,
            async || match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => Some(None),
                Ok(_) | Err(_) => self.child.ended().ok().flatten().map(Some),
            },
        )
        .await;
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("operator ({status})"))),
            Err(error) => Err(self.failed(&format!("operator ({error})"))),
        }
    }

    fn failed(&self, program: &str) -> Error {
        Error::Program {
            program: program.to_owned(),
            output: self.logs.tail(20),
        }
    }

    /// How it was started, with the addresses that were chosen.
    #[must_use]
    pub fn options(&self) -> &OperatorOptions {
        &self.options
    }

    /// Base URL of `/livez`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn admin_url(&self) -> String {
        address(self.options.admin_listen)
    }

    /// Base URL of the receiver, as it listens.
    #[must_use]
    pub fn receiver_url(&self) -> String {
        address(self.options.receiver_listen)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.ended()
    }

    /// SIGKILL: it cannot do anything about it.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.tell_to_end()?;
        self.end().await
    }

    /// SIGTERM alone.
    pub fn tell_to_end(&self) -> Result<(), Error> {
        self.child.signal(Signal::TERM)
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> Result<ExitStatus, Error> {
        self.child.end(DRAIN_DEADLINE).await
    }

    /// SIGSTOP: it stands still, its connections stay open.
    pub fn pause(&self) -> Result<(), Error> {
        self.child.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on and finds the world changed.
    pub fn resume(&self) -> Result<(), Error> {
        self.child.signal(Signal::CONT)
    }

    /// Starts it again with the same flags, after a kill if it still runs, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<(), Error> {
        let options = self.options.clone();
        self.restart_with(options).await
    }

    /// The same with other flags.
    pub async fn restart_with(&mut self, options: OperatorOptions) -> Result<(), Error> {
        self.kill();
        self.options = options.settled()?;
        self.child = launch(&self.options, &self.logs).await?;
        self.ready().await
    }

    /// Every line that it wrote, of all its starts.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.logs.lines()
    }

    /// The metrics as they are now.
    pub async fn metrics(&self) -> Result<Metrics, Error> {
        let url = format!("{}/metrics", self.admin_url());
        let text = fetch(&url).await?;
        archive::append(archive::METRICS, &text)?;
        Ok(Metrics::parse(&text))
    }
}

impl Drop for OperatorProcess {
    /// A pass that panics is repeated, so that a test need not notice. What the program says of it is in its log.
    fn drop(&mut self) {
        self.kill();
        let panics = self.logs.matching("panicked at");
        assert!(
            panics.is_empty() || std::thread::panicking(),
            "the operator panicked: {panics:#?}"
        );
    }
}

fn an_address_was_taken(error: &Error) -> bool {
    matches!(error, Error::Program { output, .. } if output.contains("Address already in use"))
}

fn address(listen: Option<SocketAddr>) -> String {
    listen.map_or_else(String::new, |address| format!("http://{address}"))
}

async fn launch(options: &OperatorOptions, logs: &Logs) -> Result<Guarded, Error> {
    let command = match &options.installation {
        Some(installation) => Box::pin(installation.command(options)).await?,
        None => command(options).await?,
    };
    let mut child = Guarded::spawn("the operator", command)?;
    logs.follow_child(child.child())?;
    Ok(child)
}

async fn command(options: &OperatorOptions) -> Result<std::process::Command, Error> {
    let mut command = match options.program.split_first() {
        Some((program, arguments)) => {
            let mut command = guard::command(program);
            command.args(arguments);
            command
        }
        None => guard::command(programs::operator().await?),
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HYBRID_CALENDAR_") {
            command.env_remove(name);
        }
    }
    command
        .arg("run")
        .args(options.flags())
        .env("KUBECONFIG", &options.kubeconfig)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .envs(options.environment.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// The roles and bindings that `hybrid-calendar-operator rbac` prints for these arguments.
pub async fn rbac(arguments: &[String]) -> Result<String, Error> {
    let output = Command::new(programs::operator().await?)
        .arg("rbac")
        .args(arguments)
        .output()
        .await
        .attempt("run hybrid-calendar-operator rbac")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Program {
        program: "hybrid-calendar-operator rbac".to_owned(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The text behind a URL of this machine.
pub(crate) async fn fetch(url: &str) -> Result<String, Error> {
    let failed = |error: reqwest::Error| Error::Document {
        what: url.to_owned(),
        message: error.to_string(),
    };
    let answer = http_client()?.get(url).send().await.map_err(failed)?;
    let answer = answer.error_for_status().map_err(failed)?;
    answer.text().await.map_err(failed)
}

fn http_client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| Error::Document {
            what: "the HTTP client's settings".to_owned(),
            message: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_becomes_a_flag() {
        let options = OperatorOptions {
            admin_listen: Some(([127, 0, 0, 1], 9).into()),
            receiver_listen: Some(([127, 0, 0, 1], 8).into()),
            namespaces: vec!["a".to_owned(), "b".to_owned()],
            rehearsal_pace: Some(60),
            arguments: vec!["--observe-only".to_owned()],
            ..OperatorOptions::default()
        };
        let expected = [
            "--notification-url=http://127.0.0.1:8",
            "--receiver-listen=127.0.0.1:8",
            "--admin-listen=127.0.0.1:9",
            "--rehearsal-pace=60",
            "--namespace=a",
            "--namespace=b",
            "--observe-only",
        ];
        assert_eq!(options.settled().unwrap().flags(), expected);
    }
}
