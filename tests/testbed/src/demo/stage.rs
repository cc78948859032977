//! What the demo plays with: the emulator, and the operator with exactly the rights that it asks for.

use std::time::Duration;

use graph_emulator::{Emulator, World};
use kube::Client;
use testbed::access::Rights;
use testbed::cluster::Cluster;
use testbed::error::Error;
use testbed::operator::{self, OperatorOptions, OperatorProcess};
use testbed::testbed::start_emulator;
use testbed::wait;

use crate::expectations::{LATECOMERS, MAILBOXES, TENANTS};
use crate::ground::Ground;
use crate::screen::Screen;

pub(crate) const NAMESPACE: &str = "hybrid-calendar-demo";
pub(crate) const VISITORS: &str = "hybrid-calendar-demo-visitors";
const WORLD: &str = include_str!("../../demo/world.yaml");

/// Two objects of the same second are told apart by their UID only.
const ONE_SECOND_AND_MORE: Duration = Duration::from_millis(1100);

/// Everything that runs. It ends when it is dropped.
pub(crate) struct Stage<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) operator: OperatorProcess,
    pub(crate) client: Client,
    emulator: Emulator,
}

impl<'a> Stage<'a> {
    /// Starts everything; no tenant is declared yet.
    pub(crate) async fn set(ground: &'a Ground, pace: u32, screen: &Screen) -> Result<Self, Error> {
        let cluster = ground.cluster();
        ground.define(screen).await?;
        screen.line("Starting the Graph emulator.");
        let emulator = start_emulator(world()?).await?;
        screen.line("Starting the operator.");
        Ok(Self {
            ground,
            operator: start_operator(cluster, emulator.base_url(), pace).await?,
            client: cluster.admin().await?,
            emulator,
        })
    }

    /// Base URL of Graph and the login host.
    pub(crate) fn emulator_url(&self) -> String {
        self.emulator.base_url()
    }

    /// Base URL of the emulator's admin port, without a slash at its end.
    pub(crate) fn emulator_admin_url(&self) -> String {
        self.emulator.admin_url().trim_end_matches('/').to_owned()
    }

    /// Renewals that Graph granted.
    pub(crate) fn renewals(&self) -> u64 {
        let counts = self.emulator.counts();
        counts.with_status("renewSubscription", 200)
    }

    pub(crate) fn last_log_lines(&self) -> Vec<String> {
        let lines = self.operator.logs();
        lines[lines.len().saturating_sub(20)..].to_vec()
    }

    /// Declares the tenants and mailboxes.
    pub(crate) async fn open(&self) -> Result<(), Error> {
        let cluster = self.ground.cluster();
        let tenants = TENANTS.replace("${EMULATOR}", &self.emulator.base_url());
        for yaml in [tenants.as_str(), MAILBOXES] {
            cluster.apply(NAMESPACE, yaml).await?;
        }
        wait::pause(ONE_SECOND_AND_MORE).await;
        cluster.apply(NAMESPACE, LATECOMERS).await
    }
}

fn world() -> Result<World, Error> {
    World::from_yaml(WORLD).map_err(|error| Error::Document {
        what: "the demo's world".to_owned(),
        message: error.to_string(),
    })
}

async fn start_operator(
    cluster: &Cluster,
    emulator: String,
    pace: u32,
) -> Result<OperatorProcess, Error> {
    let namespaces = [NAMESPACE, VISITORS];
    for namespace in namespaces {
        let yaml = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
        cluster.apply("default", &yaml).await?;
    }
    let account = format!("--service-account={NAMESPACE}/{NAMESPACE}");
    let scope = namespaces.map(|namespace| format!("--namespace={namespace}"));
    let rbac = operator::rbac(&[&[account], &scope[..]].concat()).await?;
    cluster.apply(NAMESPACE, &rbac).await?;
    let kubeconfig = cluster
        .service_account(NAMESPACE, NAMESPACE, &Rights::default())
        .await?;
    OperatorProcess::start(OperatorOptions {
        kubeconfig,
        allowed_endpoints: vec![emulator],
        namespaces: namespaces.map(str::to_owned).to_vec(),
        rehearsal_pace: Some(pace),
        environment: vec![("POD_NAMESPACE".to_owned(), NAMESPACE.to_owned())],
        ..OperatorOptions::default()
    })
    .await
}
