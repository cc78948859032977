//! A cluster that we can administer: our own control plane or somebody's kind or k3d.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::{Attempt, Error};
use crate::manifest;

/// Where a cluster is and with which programs it is reached. Holds nothing that belongs to an async runtime.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// For the kubeconfig files that are made.
    pub(crate) folder: PathBuf,
}

impl Cluster {
    /// A cluster that is there already. `folder` takes the kubeconfig files that are made.
    #[must_use]
    pub fn existing(kubeconfig: PathBuf, kubectl: PathBuf, folder: PathBuf) -> Self {
        Self {
            kubeconfig,
            kubectl,
            folder,
        }
    }

    /// The administrator's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubectl that is used.
    #[must_use]
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// A client with all rights.
    pub async fn admin(&self) -> Result<Client, Error> {
        self.client_for(&self.kubeconfig).await
    }

    /// A client with the rights of a kubeconfig file.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client, Error> {
        let config = config(kubeconfig).await.map_err(|error| Error::Document {
            what: kubeconfig.display().to_string(),
            message: error.to_string(),
        })?;
        Client::try_from(config).attempt("make a Kubernetes client")
    }

    /// A new namespace with a name of its own.
    pub async fn namespace(&self) -> Result<String, Error> {
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some("test-".to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let made = Api::<Namespace>::all(self.admin().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .attempt("create a namespace")?;
        Ok(made.metadata.name.unwrap_or_default())
    }

    /// From now on the API server refuses pods in a namespace that ask for more than Pod Security `restricted` allows.
    pub async fn restrict(&self, namespace: &str) -> Result<(), Error> {
        let labels = serde_json::json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let restricted = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        });
        self.apply(namespace, &restricted.to_string()).await
    }

    /// Applies documents as the administrator; those without a namespace go to `namespace`.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<(), Error> {
        manifest::apply(&self.admin().await?, namespace, yaml).await
    }

    /// Installs CustomResourceDefinitions and waits until they are served.
    pub async fn install_crds(&self, yaml: &str) -> Result<(), Error> {
        manifest::install_crds(&self.admin().await?, yaml).await
    }

    /// What the administrator's kubeconfig file says about the cluster itself.
    pub(crate) fn current_cluster(&self) -> Result<serde_json::Value, Error> {
        let refused = |message: String| Error::Document {
            what: self.kubeconfig.display().to_string(),
            message,
        };
        let kubeconfig =
            Kubeconfig::read_from(&self.kubeconfig).map_err(|error| refused(error.to_string()))?;
        current_cluster(&kubeconfig)
            .ok_or_else(|| refused("it has no current context with a cluster".to_owned()))
    }

    /// Base URL of the API server.
    pub(crate) fn server(&self) -> Result<String, Error> {
        let cluster = self.current_cluster()?;
        Ok(cluster["server"].as_str().unwrap_or_default().to_owned())
    }

    /// The certificates by which the API server is known, in PEM.
    pub(crate) fn certificate(&self) -> Result<String, Error> {
        let cluster = self.current_cluster()?;
        let path = cluster["certificate-authority"].as_str();
        let path = path.ok_or_else(|| Error::Document {
            what: self.kubeconfig.display().to_string(),
            message: "it names no file with the certificate authority".to_owned(),
        })?;
        std::fs::read_to_string(path).attempt(format!("read {path}"))
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl<I>(&self, arguments: I) -> Result<Output, Error>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        tokio::process::Command::new(&self.kubectl)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl-cache"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .attempt("run kubectl")
    }
}

/// The cluster of the current context of a kubeconfig file, files named by absolute paths.
fn current_cluster(kubeconfig: &Kubeconfig) -> Option<serde_json::Value> {
    let current = kubeconfig.current_context.as_deref()?;
    let context = kubeconfig.contexts.iter().find(|c| c.name == current)?;
    let name = &context.context.as_ref()?.cluster;
    let cluster = kubeconfig.clusters.iter().find(|c| c.name == *name)?;
    serde_json::to_value(cluster.cluster.as_ref()?).ok()
}

async fn config(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

/// What a kubeconfig file needs to say.
#[derive(Debug)]
pub(crate) struct Connection<'a> {
    pub(crate) server: &'a str,
    pub(crate) cluster: serde_json::Value,
    pub(crate) user: serde_json::Value,
    /// Which namespace is meant when none is named.
    pub(crate) namespace: Option<&'a str>,
}

impl Connection<'_> {
    /// Writes the file, for us alone to read.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let mut cluster = self.cluster.clone();
        cluster["server"] = self.server.into();
        let mut context = serde_json::json!({"cluster": "testbed", "user": "testbed"});
        if let Some(namespace) = self.namespace {
            context["namespace"] = namespace.into();
        }
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": "testbed", "user": self.user}],
            "contexts": [{"name": "testbed", "context": context}],
        });
        write_private(path, &kubeconfig.to_string())
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .attempt(format!("make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .attempt(format!("write {}", path.display()))
}
