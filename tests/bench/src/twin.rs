//! The operator's twins in other frameworks: how they are built and started. What they are is in `twins/`.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use testbed::access::Rights;
use testbed::error::{Attempt as _, Error};
use testbed::go_programs::{self, Recipe, tail};
use testbed::guard::{self, Guarded, Scratch};
use testbed::packages;

use crate::ground::Place;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/twins");
const ROLE: &str = include_str!("../twins/role.yaml");
/// How long a twin may take to end.
const END_DEADLINE: Duration = Duration::from_mins(1);

const CONTROLLER_RUNTIME: Recipe = Recipe {
    name: "twin-controller-runtime",
    module: concat!(env!("CARGO_MANIFEST_DIR"), "/twins/controller-runtime"),
    packages: &[("twins/controller-runtime", "controller-runtime")],
    linker_flags: |_| Ok("-s -w".to_owned()),
    title: "the twin in controller-runtime (about two minutes)",
};

/// Which framework, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// controller-runtime, with so many workers.
    ControllerRuntime {
        /// Mailboxes that it looks at at once.
        workers: u16,
    },
    /// kopf, which looks at all mailboxes at once.
    Kopf,
}

impl fmt::Display for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControllerRuntime { workers } => write!(f, "controller-runtime, {workers}"),
            Self::Kopf => f.write_str("kopf"),
        }
    }
}

impl Twin {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::ControllerRuntime { workers: 64 },
        Self::ControllerRuntime { workers: 256 },
        Self::Kopf,
    ];

    /// What a twin may do in its namespace.
    pub fn rights(namespace: &str) -> Result<Rights, Error> {
        Rights::parse(ROLE, namespace)
    }

    /// Builds or installs it if that was not done before, and starts it.
    pub async fn start(self, place: &Place) -> Result<TwinProcess, Error> {
        let scratch = Scratch::new()?;
        let log = scratch.path().join("log");
        let process = self.launch(place, &log).await?;
        Ok(TwinProcess {
            twin: self,
            place: place.clone(),
            process,
            log,
            _scratch: scratch,
        })
    }

    async fn launch(self, place: &Place, log: &PathBuf) -> Result<Guarded, Error> {
        let mut command = self.command(place).await?;
        let output = File::create(log).attempt(format!("make {}", log.display()))?;
        let errors = output.try_clone().attempt("share a twin's log")?;
        command
            .env("KUBECONFIG", &place.kubeconfig)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .stdout(output)
            .stderr(errors);
        Guarded::spawn(&self.to_string(), command)
    }

    async fn command(self, place: &Place) -> Result<Command, Error> {
        let namespace = format!("--namespace={}", place.namespace);
        match self {
            Self::ControllerRuntime { workers } => {
                let folder = go_programs::ready(&CONTROLLER_RUNTIME).await?;
                let mut command = guard::command(folder.join("controller-runtime"));
                command.arg(namespace).arg(format!("--workers={workers}"));
                Ok(command)
            }
            Self::Kopf => {
                let requirements = format!("{FOLDER}/kopf/requirements.txt");
                let environment = packages::python("twin-kopf", &requirements).await?;
                let mut command = guard::command(environment.join("bin/kopf"));
                command
                    .args(["run", "--standalone", "--quiet"])
                    .arg(namespace)
                    .arg(format!("{FOLDER}/kopf/twin.py"))
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                Ok(command)
            }
        }
    }
}

/// A running twin. Killed when it is dropped.
#[derive(Debug)]
pub struct TwinProcess {
    twin: Twin,
    place: Place,
    process: Guarded,
    log: PathBuf,
    _scratch: Scratch,
}

impl TwinProcess {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.process.ended()
    }

    /// The end of what it logged.
    #[must_use]
    pub fn said(&self) -> String {
        tail(&self.log)
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> Result<(), Error> {
        self.process.terminate(END_DEADLINE).await.map(|_| ())
    }

    /// Starts it again.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.process = self.twin.launch(&self.place, &self.log).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn every_package_of_the_twin_in_python_has_an_exact_version() {
        let requirements = include_str!("../twins/kopf/requirements.txt");
        let packages = requirements.lines().filter(|line| !line.starts_with('#'));
        let loose: Vec<&str> = packages
            .filter(|line| {
                let version = line.split_once("==").map(|(_, version)| version);
                !version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            })
            .collect();
        assert!(loose.is_empty(), "{loose:?}");
        assert!(requirements.contains("\nkopf=="));
    }
}
