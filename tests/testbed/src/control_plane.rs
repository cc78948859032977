//! A real kube-apiserver with its etcd: RBAC on, ServiceAccount tokens, an audit log; no kubelet, and controllers
//! only where a test asks for them.
//!
//! Without a controller manager nothing finishes the deletion of a namespace: [`ControlPlane::delete_namespace`] does.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiGroup, ApiResource, Discovery, Scope, verbs};
use tokio::sync::{Mutex, OnceCell};

use crate::assets::{self, Assets};
use crate::audit::{self, AuditEntry, AuditMark};
use crate::cluster::{Cluster, Connection};
use crate::controllers::Extent;
use crate::error::{Attempt, Error};
use crate::go_programs::tail;
use crate::guard::{self, Guarded, Scratch};
use crate::{archive, controllers, pki, ports, wait};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const READY_DEADLINE: Duration = Duration::from_secs(90);
const ATTEMPTS: u32 = 3;

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// A running control plane. Ends when it is dropped or when this program ends, however that happens.
#[derive(Debug)]
pub struct ControlPlane {
    cluster: Cluster,
    url: String,
    // In this order they end.
    controllers: OnceCell<Guarded>,
    events: Option<Guarded>,
    apiserver: Mutex<Guarded>,
    etcd: Mutex<Guarded>,
    recipe: Recipe,
    scratch: Scratch,
}

/// How its two programs are started, and started again.
#[derive(Debug)]
struct Recipe {
    assets: Assets,
    etcd_url: String,
    port: u16,
    streams_lists: AtomicBool,
}

impl Deref for ControlPlane {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl ControlPlane {
    /// The one of this program, started when it is first asked for. Use a namespace of your own in it.
    pub async fn shared() -> Result<&'static Self, Error> {
        SHARED
            .get_or_try_init(async || {
                let mut shared = Self::start().await?;
                shared.events = Some(shared.record_events()?);
                Ok(shared)
            })
            .await
    }

    /// Starts one.
    pub async fn start() -> Result<Self, Error> {
        let assets = assets::ready().await?;
        let mut result = Self::start_once(&assets).await;
        for _ in 1..ATTEMPTS {
            // Mostly a port that somebody else took in between.
            if let Err(Error::Program { .. }) = &result {
                result = Self::start_once(&assets).await;
            }
        }
        result
    }

    async fn start_once(assets: &Assets) -> Result<Self, Error> {
        let scratch = Scratch::new()?;
        let folder = scratch.path();
        pki::write(folder)?;
        let etcd_url = format!("http://127.0.0.1:{}", ports::free()?);
        let etcd = start_etcd(assets, folder, &etcd_url)?;
        let recipe = Recipe {
            assets: assets.clone(),
            etcd_url,
            port: ports::free()?,
            streams_lists: AtomicBool::new(true),
        };
        let apiserver = start_apiserver(&recipe, folder)?;
        let port = recipe.port;
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig = folder.join("admin.kubeconfig");
        let connection = Connection {
            server: &url,
            cluster: serde_json::json!({"certificate-authority": folder.join("ca.crt")}),
            user: serde_json::json!({
                "client-certificate": folder.join("admin.crt"),
                "client-key": folder.join("admin.key"),
            }),
            namespace: None,
        };
        connection.write(&kubeconfig)?;
        let cluster = Cluster::existing(kubeconfig, assets.kubectl.clone(), folder.to_owned());
        let control_plane = Self {
            cluster,
            url,
            controllers: OnceCell::new(),
            events: None,
            apiserver: Mutex::new(apiserver),
            etcd: Mutex::new(etcd),
            recipe,
            scratch,
        };
        control_plane.ready().await?;
        Ok(control_plane)
    }

    /// The API server's process id.
    pub async fn apiserver_id(&self) -> u32 {
        self.apiserver.lock().await.id()
    }

    /// SIGKILL for the API server.
    pub async fn kill_apiserver(&self) {
        self.apiserver.lock().await.kill();
    }

    /// SIGKILL for etcd. What it has acknowledged is in its files.
    pub async fn kill_etcd(&self) {
        self.etcd.lock().await.kill();
    }

    /// Starts etcd again where it was.
    pub async fn start_etcd(&self) -> Result<(), Error> {
        let Recipe {
            assets, etcd_url, ..
        } = &self.recipe;
        *self.etcd.lock().await = start_etcd(assets, self.scratch.path(), etcd_url)?;
        Ok(())
    }

    /// Gives the API server another certificate, good until the beginning of a year, for when it is started next.
    pub fn certify(&self, until: i32) -> Result<(), Error> {
        pki::write_serving(self.scratch.path(), until)
    }

    /// Whether the API server streams lists when it is started next; it does at first.
    pub fn stream_lists(&self, can: bool) {
        self.recipe.streams_lists.store(can, Ordering::Relaxed);
    }

    /// Starts the API server again where it was.
    pub async fn start_apiserver(&self) -> Result<(), Error> {
        let apiserver = start_apiserver(&self.recipe, self.scratch.path())?;
        *self.apiserver.lock().await = apiserver;
        Ok(())
    }

    /// Waits until the API server is ready.
    pub async fn ready(&self) -> Result<(), Error> {
        let client = self.cluster.admin().await?;
        let mut apiserver = self.apiserver.lock().await;
        let ended = wait::for_some(
            "the API server is ready",
            READY_DEADLINE,
            async || match get(&client, "/readyz").await {
                Ok(_) => Some(None),
                Err(_) => apiserver.ended().ok().flatten().map(Some),
            },
        )
        .await?;
        match ended {
            None => Ok(()),
            Some(status) => Err(Error::Program {
                program: format!("kube-apiserver ({status})"),
                output: tail(&self.scratch.path().join("apiserver.log")),
            }),
        }
    }

    /// Starts kube-controller-manager, once, with the controllers that make Deployments into Pods and Services into
    /// endpoints (see [`controllers`]).
    pub async fn controllers(&self) -> Result<(), Error> {
        self.start_controllers(Extent::Installations).await
    }

    /// The same with those that look after namespaces: for a cluster in which people create and delete them.
    pub async fn all_controllers(&self) -> Result<(), Error> {
        self.start_controllers(Extent::Namespaces).await
    }

    async fn start_controllers(&self, extent: Extent) -> Result<(), Error> {
        let (kubeconfig, folder) = (self.cluster.kubeconfig(), self.scratch.path());
        let start = async || controllers::start(kubeconfig, folder, extent).await;
        self.controllers.get_or_try_init(start).await.map(|_| ())
    }

    /// Writes every Event into the archive, while this control plane runs.
    fn record_events(&self) -> Result<Guarded, Error> {
        self.record("events.events.k8s.io", "json", archive::EVENTS)
    }

    /// Writes every status of a kind into the archive, while the recorder lives. The kind must be installed.
    pub(crate) fn record_statuses(&self, resource: &str) -> Result<Guarded, Error> {
        let line = r#"jsonpath={.metadata.namespace}/{.metadata.name} {.status}{"\n"}"#;
        self.record(resource, line, archive::STATUSES)
    }

    fn record(&self, resource: &str, output: &str, file: &str) -> Result<Guarded, Error> {
        let mut command = guard::command(&self.cluster.kubectl);
        command
            .args(["get", resource, "-A", "--watch", "-o", output])
            .arg("--cache-dir")
            .arg(self.scratch.path().join("kubectl-cache"))
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .stdout(archive::open(file)?)
            .stderr(std::process::Stdio::null());
        Guarded::spawn(&format!("kubectl get {resource}"), command)
    }

    /// Base URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Issuer of the ServiceAccount tokens, as a federated credential names it.
    #[must_use]
    pub fn issuer(&self) -> &'static str {
        ISSUER
    }

    /// The public keys of the ServiceAccount tokens, a JSON Web Key Set.
    pub async fn jwks(&self) -> Result<String, Error> {
        get(&self.admin().await?, "/openid/v1/jwks").await
    }

    /// Every request so far.
    pub async fn audit(&self) -> Result<Vec<AuditEntry>, Error> {
        self.audit_since(AuditMark::default()).await
    }

    /// A place in the audit log, to count from.
    pub async fn audit_mark(&self) -> Result<AuditMark, Error> {
        let log = self.audit_log();
        audit::mark(&self.admin().await?, &log).await
    }

    /// Every request since a mark.
    pub async fn audit_since(&self, mark: AuditMark) -> Result<Vec<AuditEntry>, Error> {
        let log = self.audit_log();
        audit::since(&self.admin().await?, &log, mark).await
    }

    fn audit_log(&self) -> PathBuf {
        self.scratch.path().join("audit.log")
    }

    /// Deletes a namespace with all that is in it, as the controllers of a whole cluster would. Those would wait for
    /// what does not leave at once; here it is an error that names it.
    pub async fn delete_namespace(&self, name: &str) -> Result<(), Error> {
        let client = self.admin().await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .delete(name, &DeleteParams::default())
            .await
            .attempt(format!("delete the namespace {name}"))?;
        let contents = contents(&client, name).await?;
        for (plural, api) in &contents {
            api.delete_collection(&DeleteParams::default(), &ListParams::default())
                .await
                .attempt(format!("delete {plural} in {name}"))?;
        }
        let left = left_in(&contents, name).await?;
        if !left.is_empty() {
            return Err(Error::Document {
                what: format!("the namespace {name} as empty"),
                message: format!("it still holds {}", left.join(", ")),
            });
        }
        finalize(&namespaces, name).await
    }

    /// Ends it and removes its files.
    pub fn stop(self) {
        drop(self);
    }
}

/// Everything that a namespace can hold, by the plural names of the kinds.
async fn contents(
    client: &kube::Client,
    namespace: &str,
) -> Result<Vec<(String, Api<DynamicObject>)>, Error> {
    let discovery = Discovery::new(client.clone())
        .run()
        .await
        .attempt("discover what a namespace can hold")?;
    let held = |(resource, capabilities): (ApiResource, ApiCapabilities)| {
        let deletable = capabilities.supports_operation(verbs::DELETE_COLLECTION);
        (capabilities.scope == Scope::Namespaced && deletable).then(|| {
            let api = Api::namespaced_with(client.clone(), namespace, &resource);
            (resource.plural, api)
        })
    };
    let groups = discovery.groups();
    Ok(groups
        .flat_map(ApiGroup::recommended_resources)
        .filter_map(held)
        .collect())
}

/// What has not left a namespace, as `plural/name`.
async fn left_in(
    contents: &[(String, Api<DynamicObject>)],
    namespace: &str,
) -> Result<Vec<String>, Error> {
    let mut left = Vec::new();
    for (plural, api) in contents {
        let found = api
            .list_metadata(&ListParams::default())
            .await
            .attempt(format!("list {plural} in {namespace}"))?;
        let names = found.items.into_iter().filter_map(|one| one.metadata.name);
        left.extend(names.map(|name| format!("{plural}/{name}")));
    }
    Ok(left)
}

async fn finalize(namespaces: &Api<Namespace>, name: &str) -> Result<(), Error> {
    let mut namespace = namespaces
        .get(name)
        .await
        .attempt(format!("read the namespace {name}"))?;
    if let Some(spec) = &mut namespace.spec {
        spec.finalizers = None;
    }
    namespaces
        .replace_subresource("finalize", name, &PostParams::default(), &namespace)
        .await
        .attempt(format!("finalize the namespace {name}"))?;
    Ok(())
}

async fn get(client: &kube::Client, path: &str) -> Result<String, Error> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|error| Error::Document {
            what: path.to_owned(),
            message: error.to_string(),
        })?;
    client
        .request_text(request)
        .await
        .attempt(format!("get {path}"))
}

fn start_etcd(assets: &Assets, folder: &Path, url: &str) -> Result<Guarded, Error> {
    let peer = format!("http://127.0.0.1:{}", ports::free()?);
    let mut command = guard::command(&assets.etcd);
    command
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .args(["--unsafe-no-fsync", "--log-level=warn"]);
    logged("etcd", command, &folder.join("etcd.log"))
}

fn start_apiserver(recipe: &Recipe, folder: &Path) -> Result<Guarded, Error> {
    let policy = folder.join("audit-policy.yaml");
    std::fs::write(&policy, audit::POLICY).attempt("write the audit policy")?;
    let file = |name: &str| folder.join(name).display().to_string();
    let mut command = guard::command(&recipe.assets.kube_apiserver);
    let streams_lists = recipe.streams_lists.load(Ordering::Relaxed);
    command
        .arg(format!("--etcd-servers={}", recipe.etcd_url))
        .arg(format!("--secure-port={}", recipe.port))
        .arg(format!("--feature-gates=WatchList={streams_lists}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg("--endpoint-reconciler-type=none")
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg(format!("--cert-dir={}", file("certificates")))
        .arg(format!("--client-ca-file={}", file("ca.crt")))
        .arg(format!("--tls-cert-file={}", file("apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", file("apiserver.key")))
        .arg("--authorization-mode=RBAC")
        .arg("--anonymous-auth=false")
        .arg(format!("--service-account-issuer={ISSUER}"))
        .arg(format!(
            "--service-account-key-file={}",
            file("service-account.key")
        ))
        .arg(format!(
            "--service-account-signing-key-file={}",
            file("service-account.key")
        ))
        .arg(format!("--audit-policy-file={}", policy.display()))
        .arg(format!("--audit-log-path={}", file("audit.log")))
        // A log that begins anew would take marks and entries with it.
        .arg("--audit-log-maxsize=0")
        .args(["--audit-log-mode=blocking", "--profiling=false"]);
    logged("kube-apiserver", command, &folder.join("apiserver.log"))
}

pub(crate) fn logged(
    name: &str,
    mut command: std::process::Command,
    log: &Path,
) -> Result<Guarded, Error> {
    let output = std::fs::File::create(log).attempt(format!("make {}", log.display()))?;
    let errors = output
        .try_clone()
        .attempt(format!("share the log of {name}"))?;
    command.stdout(output).stderr(errors);
    Guarded::spawn(name, command)
}
