//! An operator as the chart installs it: its pod with its ServiceAccount, permissions, arguments and environment, run by
//! the testbed itself, so that a test can kill it, hold it and start it again.
//!
//! With `HYBRID_CALENDAR_TESTS_INSTALL=chart` every operator of a [`Testbed`](crate::testbed::Testbed) is one. There is no
//! Deployment in the cluster, because its controller would start again what a test has killed.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::OperatorOptions;
use crate::cluster::Cluster;
use crate::error::{Attempt, Error};
use crate::helm::{Release, chart};
use crate::kubelet::{self, Sandbox};
use crate::{manifest, wait};

const MODE: &str = "HYBRID_CALENDAR_TESTS_INSTALL";
/// Names of Lease and key Secret, and beginning of all others, unless flags say otherwise.
const DEFAULT_NAME: &str = "hybrid-calendar-operator";
const GONE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// Where the chart is installed, and as what.
#[derive(Clone, Debug)]
pub struct Installation {
    cluster: Cluster,
    namespace: String,
    account: String,
    /// With which values it was installed last, and the container of its pod.
    last: Arc<Mutex<Option<(Value, Sandbox)>>>,
}

/// Whether this test run installs operators by the chart.
pub(crate) fn is_wanted() -> Result<bool, Error> {
    match std::env::var(MODE).unwrap_or_default().as_str() {
        "" | "rbac" => Ok(false),
        "chart" => Ok(true),
        other => Err(Error::Document {
            what: MODE.to_owned(),
            message: format!("{other:?} is neither \"chart\" nor \"rbac\""),
        }),
    }
}

impl Installation {
    /// In a namespace, all objects named like the ServiceAccount.
    pub(crate) async fn prepare(
        cluster: &Cluster,
        (namespace, account): (&str, &str),
    ) -> Result<Self, Error> {
        cluster.restrict(namespace).await?;
        kubelet::furnish_namespace(cluster, namespace).await?;
        Ok(Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            last: Arc::default(),
        })
    }

    /// The command of its pod's container. The chart is installed before, unless it is with just these options: then the
    /// container starts again.
    pub(super) async fn command(&self, options: &OperatorOptions) -> Result<Command, Error> {
        let values = self.values(options);
        let mut last = self.last.lock().await;
        if let Some((_, sandbox)) = last.as_ref().filter(|(with, _)| *with == values) {
            return Ok(sandbox.command());
        }
        let sandbox = self.install(&values).await?;
        let command = sandbox.command();
        *last = Some((values, sandbox));
        Ok(command)
    }

    async fn install(&self, values: &Value) -> Result<Sandbox, Error> {
        let release = Release::new(&self.cluster, &self.namespace, &self.account);
        let rendered = release.template(chart(), values).await?;
        let (workloads, others): (Vec<_>, Vec<_>) = manifest::objects(&rendered)?
            .into_iter()
            .partition(|object| is_a(object, "Deployment"));
        let others: Vec<String> = others.iter().map(as_yaml).collect();
        self.cluster
            .apply(&self.namespace, &others.join("\n---\n"))
            .await?;
        let pod = self.replace_pod(&workloads).await?;
        let folder = self.folder();
        kubelet::container(&self.cluster, pod, Ipv4Addr::LOCALHOST, &folder).await
    }

    /// The chart's values for the flags that would be given.
    fn values(&self, options: &OperatorOptions) -> Value {
        let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
        let (key_namespace, key_name) = match options.key_secret.as_deref() {
            Some(key) => key.split_once('/').unwrap_or(("", key)),
            None => ("", "hybrid-calendar-operator-key"),
        };
        let pace = options.rehearsal_pace.iter();
        let pace = pace.map(|pace| format!("--rehearsal-pace={pace}"));
        let arguments: Vec<String> = pace.chain(options.arguments.iter().cloned()).collect();
        let environment = options.environment.iter();
        // The chart says itself in which namespace the pod is.
        let environment = environment.filter(|(name, _)| name != "POD_NAMESPACE");
        let environment: Vec<Value> = environment
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        json!({
            "fullnameOverride": self.account,
            "notificationUrl": options.notification_url,
            "receiver": {"port": port(options.receiver_listen)},
            "metrics": {"port": port(options.admin_listen)},
            "copies": {"port": port(options.wakes_listen)},
            "allowedEndpoints": options.allowed_endpoints,
            "watchNamespaces": options.namespaces,
            "leaderElection": {
                "leaseName": options.lease_name.as_deref().unwrap_or(DEFAULT_NAME),
                "leaseNamespace": options.lease_namespace.as_deref().unwrap_or_default(),
            },
            "keySecret": {"name": key_name, "namespace": key_namespace},
            "extraArgs": arguments,
            "extraEnv": environment,
            // What a cluster has once belongs to no test.
            "crds": {"enabled": false},
            "rbac": {"aggregateToDefaultRoles": false},
            "admissionPolicies": {
                "credentialUse": false, "ownSecrets": false, "unwatchedNamespaces": false,
            },
        })
    }

    /// The pod of the Deployment, bound to a node that nobody plays. One that is there already goes first.
    async fn replace_pod(&self, workloads: &[DynamicObject]) -> Result<Pod, Error> {
        let [workload] = workloads else {
            return Err(Error::Document {
                what: "the chart's manifests".to_owned(),
                message: format!("{} Deployments instead of one", workloads.len()),
            });
        };
        let mut pod = workload.data["spec"]["template"].clone();
        pod["metadata"]["name"] = json!(self.account);
        pod["spec"]["nodeName"] = json!("testbed");
        let pod: Pod = serde_json::from_value(pod).map_err(|error| Error::Document {
            what: "the Deployment's pod".to_owned(),
            message: error.to_string(),
        })?;
        let pods: Api<Pod> = Api::namespaced(self.cluster.admin().await?, &self.namespace);
        let at_once = DeleteParams::default().grace_period(0);
        let gone = format!("the pod {} is gone", self.account);
        wait::until(&gone, GONE_DEADLINE, async || {
            let deleted = pods.delete(&self.account, &at_once).await;
            matches!(deleted, Err(kube::Error::Api(status)) if status.code == 404)
        })
        .await?;
        pods.create(&PostParams::default(), &pod)
            .await
            .attempt(format!("create the pod {}", self.account))
    }

    fn folder(&self) -> PathBuf {
        self.cluster.folder.join("pods").join(&self.account)
    }
}

fn is_a(object: &DynamicObject, kind: &str) -> bool {
    object
        .types
        .as_ref()
        .is_some_and(|types| types.kind == kind)
}

fn as_yaml(object: &DynamicObject) -> String {
    serde_json::to_string(object).unwrap_or_default()
}
