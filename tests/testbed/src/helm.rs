//! Helm as a person runs it: the real program, with a home of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::{Attempt, Error};
use crate::guard::Scratch;
use crate::tools;

const CHART: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../charts/hybrid-calendar-operator"
);

static CALLS: AtomicU32 = AtomicU32::new(0);

/// The operator's chart.
#[must_use]
pub fn chart() -> &'static Path {
    Path::new(CHART)
}

/// Runs helm without a cluster, for what only reads the chart. Returns what it printed.
pub async fn offline(words: &[&str]) -> Result<String, Error> {
    let home = Scratch::new()?;
    helm(home.path(), words).await
}

/// With a home of its own: nobody's repositories and plugins matter, nor the cluster that somebody works with.
async fn helm(home: &Path, words: &[&str]) -> Result<String, Error> {
    let output = tokio::process::Command::new(tools::ready().await?.helm)
        .args(words)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .attempt("run helm")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Program {
        program: format!("helm {}", words.join(" ")),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A release in a cluster, made or not yet.
#[derive(Clone, Debug)]
pub struct Release {
    cluster: Cluster,
    /// Its name.
    pub name: String,
    /// Its namespace, which must be there.
    pub namespace: String,
}

impl Release {
    /// Names one.
    #[must_use]
    pub fn new(cluster: &Cluster, namespace: &str, name: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    /// `helm install`. Returns what it said.
    pub async fn install(
        &self,
        chart: &Path,
        values: &Value,
        more: &[&str],
    ) -> Result<String, Error> {
        self.with_chart("install", (chart, values), more).await
    }

    /// `helm upgrade`.
    pub async fn upgrade(
        &self,
        chart: &Path,
        values: &Value,
        more: &[&str],
    ) -> Result<String, Error> {
        self.with_chart("upgrade", (chart, values), more).await
    }

    /// `helm template`: the manifests that an installation would apply.
    pub async fn template(&self, chart: &Path, values: &Value) -> Result<String, Error> {
        self.with_chart("template", (chart, values), &[]).await
    }

    /// `helm rollback` to a revision.
    pub async fn rollback(&self, revision: u32, more: &[&str]) -> Result<String, Error> {
        let revision = revision.to_string();
        let words = ["rollback", &self.name, &revision];
        self.call(&[&words, more].concat()).await
    }

    /// `helm uninstall`.
    pub async fn uninstall(&self, more: &[&str]) -> Result<String, Error> {
        let words = ["uninstall", &self.name];
        self.call(&[&words, more].concat()).await
    }

    async fn with_chart(
        &self,
        action: &str,
        (chart, values): (&Path, &Value),
        more: &[&str],
    ) -> Result<String, Error> {
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let file = self.home().join(format!("values-{number}.json"));
        std::fs::create_dir_all(self.home()).attempt("make a home for helm")?;
        std::fs::write(&file, values.to_string()).attempt("write values")?;
        let (chart, file) = (chart.to_string_lossy(), file.to_string_lossy());
        let words = [action, &self.name, &*chart, "--values", &*file];
        self.call(&[&words, more].concat()).await
    }

    async fn call(&self, words: &[&str]) -> Result<String, Error> {
        let kubeconfig = self.cluster.kubeconfig().to_string_lossy();
        let here = ["--namespace", &self.namespace, "--kubeconfig", &kubeconfig];
        helm(&self.home(), &[words, &here].concat()).await
    }

    fn home(&self) -> PathBuf {
        self.cluster.folder.join("helm")
    }
}
