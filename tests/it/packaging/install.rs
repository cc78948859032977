//! `helm install` and what follows, on a real API server with its controllers and a played node.
//!
//! The release is upgraded from a frozen copy of the first chart beside the first CRDs, which people applied themselves and
//! whose schema was another.

use std::path::PathBuf;

use hybrid_calendar_operator::api::v1alpha1::tenant::CalendarTenant;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, EvictParams, ListParams, PostParams};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::helm::chart;
use testbed::objects::Kind;
use testbed::sensitive;
use testbed::wait;

use super::installation::{Greeter, Ground, NAME, PATIENT};
use super::runbooks::looks_have_answers;
use crate::behaviour::scene::{DEADLINE, daily, good, room, with};
use crate::repository::root;

/// How long helm waits for what never comes to work.
const IMPATIENT: [&str; 2] = ["--wait", "--timeout=4s"];

fn previous(name: &str) -> PathBuf {
    root().join("tests/it/packaging/previous").join(name)
}

/// The CRDs of the first version, as its users applied them.
async fn install_first_crds(ground: &Ground) {
    let folder = previous("crds");
    let folder = folder.to_str().unwrap();
    ground
        .kubectl(&["apply", "--server-side", "-f", folder])
        .await;
    let served = [
        "calendartenants.hybridcalendar.dev",
        "workspacemailboxes.hybridcalendar.dev",
    ];
    for name in served.map(|name| format!("crd/{name}")) {
        ground
            .kubectl(&[
                "wait",
                "--for=condition=Established",
                &name,
                "--timeout=20s",
            ])
            .await;
    }
}

/// A tenant as the first definitions refused it: on loopback they knew three names only.
fn elsewhere_on_loopback() -> CalendarTenant {
    let endpoint = "http://127.0.0.5:8600";
    let endpoints = json!({"endpoints": {"login": endpoint, "graph": endpoint}});
    let tenant = good()
        .into_iter()
        .find(|object| object["kind"] == "CalendarTenant");
    let changed = json!({"metadata": {"name": "elsewhere"}, "spec": endpoints});
    serde_json::from_value(with(tenant.unwrap(), changed)).unwrap()
}

/// By which of both schemas objects are judged now.
async fn has_first_schema(ground: &Ground) -> bool {
    let keys = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.status.properties.subscription.properties.keyId.format}";
    let definition = "crd/workspacemailboxes.hybridcalendar.dev";
    let format = ground.kubectl(&["get", definition, "-o", keys]).await;
    let tenants: Api<CalendarTenant> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let tried = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let refused = match tenants.create(&tried, &elsewhere_on_loopback()).await {
        Ok(_) => false,
        Err(error) => {
            let why = error.to_string();
            assert!(why.contains("spec.endpoints.login"), "{why}");
            true
        }
    };
    assert_eq!(refused, format == "int32", "{format}");
    refused
}

/// What must not change when the program is replaced: statuses, subscriptions, keys.
#[derive(Debug, PartialEq)]
struct Kept {
    tenant: Value,
    room: Value,
    history: Value,
    subscriptions: Vec<String>,
    created: u64,
    keys: Option<String>,
}

async fn kept(ground: &Ground) -> Kept {
    let status = async |kind, name| ground.get(kind, name).await.unwrap()["status"].clone();
    let requests = ground.emulator.counts().requests;
    let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let keys = secrets.get(&format!("{NAME}-key")).await.unwrap();
    let subscriptions = ground.emulator.subscriptions().into_iter();
    Kept {
        tenant: status(Kind::Tenant, "contoso").await,
        room: status(Kind::Mailbox, "room-a").await,
        // Its conditions go on to say that this stalls.
        history: status(Kind::Mailbox, "room-x").await["history"].clone(),
        subscriptions: subscriptions.map(|subscription| subscription.id).collect(),
        created: requests
            .get("createSubscription")
            .map_or(0, |by_status| by_status.values().sum()),
        keys: keys.metadata.resource_version,
    }
}

/// Waits until everybody has said what there is to say.
async fn at_rest(ground: &Ground) {
    ground
        .is(Kind::Mailbox, "room-a", "Ready=True/Activated")
        .await;
    ground
        .is(Kind::Mailbox, "room-x", "Ready=False/MailboxNotFound")
        .await;
    ground
        .is(Kind::Tenant, "contoso", "Ready=True/Operational")
        .await;
    let counted = wait::until("the tenant has counted", DEADLINE, async || {
        let tenant = ground.get(Kind::Tenant, "contoso").await;
        tenant.is_ok_and(|tenant| tenant["status"]["mailboxes"]["summary"] == "1/2")
    });
    ground.or_explain(counted.await).await;
}

/// Waits until a copy that is to stay leads, and no other runs: what it would change, it changes from then on. Returns its
/// pod's name.
async fn led_by_who_runs(ground: &Ground) -> String {
    led_by(ground, NAME).await
}

/// The same by a Lease of that name.
async fn led_by(ground: &Ground, lease_name: &str) -> String {
    let deployments: Api<Deployment> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let leases: Api<Lease> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let led = wait::for_some("a running copy leads", DEADLINE, async || {
        let pods = running(ground).await;
        let deployment = deployments.get(&ground.name).await.ok()?.spec?;
        let lease = leases
            .get(lease_name)
            .await
            .ok()
            .and_then(|lease| lease.spec);
        let holder = lease
            .and_then(|spec| spec.holder_identity)
            .unwrap_or_default();
        let all = usize::try_from(deployment.replicas?).ok()? == pods.len();
        pods.into_iter().find(|pod| all && holder.starts_with(pod))
    });
    ground.or_explain(led.await).await
}

/// Names of the pods that are not on their way out.
async fn running(ground: &Ground) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let list = pods.list(&ListParams::default()).await.unwrap();
    let running = list.into_iter().map(|pod| pod.metadata);
    running
        .filter(|metadata| metadata.deletion_timestamp.is_none())
        .filter_map(|metadata| metadata.name)
        .collect()
}

/// As the drain of a node does: the PodDisruptionBudget has to allow it.
async fn evict(ground: &Ground, name: &str) {
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let evicted = wait::until("the budget allows an eviction", DEADLINE, async || {
        pods.evict(name, &EvictParams::default()).await.is_ok()
    });
    ground.or_explain(evicted.await).await;
    let gone = wait::until("the evicted pod is gone", DEADLINE, async || {
        matches!(pods.get_opt(name).await, Ok(None))
    });
    ground.or_explain(gone.await).await;
}

/// Who was uninstalled lost the right to give its Lease back before it ended; a person who cleans up removes it.
async fn remove_the_lease(ground: &Ground) {
    let leases: Api<Lease> = Api::namespaced(ground.client.clone(), &ground.namespace);
    leases.delete(NAME, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_removed_without_losing_anything() {
    let control_plane = ControlPlane::start().await.unwrap();
    let ground = Ground::alone(&control_plane).await;
    install_first_crds(&ground).await;
    let missing = room("room-x", "room-x@contoso.example");
    ground.apply(&daily([good(), vec![missing]].concat())).await;

    // The operator of today on the first definitions: what it keeps there must outlive them.
    let (first, values) = (previous("chart"), ground.values());
    let beside = with(values.clone(), json!({"crds": {"enabled": false}}));
    let installed = ground.release.install(&first, &beside, &PATIENT).await;
    ground.or_explain(installed).await;
    at_rest(&ground).await;
    assert!(has_first_schema(&ground).await);
    let before = kept(&ground).await;
    let greeter = Greeter::start(&ground.emulator.subscriptions()[0].notification_url);

    let adopting = [&PATIENT[..], &["--take-ownership", "--force-conflicts"]].concat();
    let changed = with(values.clone(), json!({"logs": {"format": "text"}}));
    let upgraded = ground.release.upgrade(chart(), &changed, &adopting).await;
    ground.or_explain(upgraded).await;
    led_by_who_runs(&ground).await;
    assert!(!has_first_schema(&ground).await);
    assert_eq!(kept(&ground).await, before);

    let broken = with(values.clone(), json!({"extraArgs": ["--no-such-flag"]}));
    let refused = ground.release.upgrade(chart(), &broken, &IMPATIENT).await;
    assert!(refused.is_err(), "{refused:?}");

    let back = ground.release.rollback(1, &PATIENT).await;
    ground.or_explain(back).await;
    led_by_who_runs(&ground).await;
    assert_eq!(kept(&ground).await, before);
    greeter.was_never_missed().await;

    let removed = ground.release.uninstall(&PATIENT).await;
    ground.or_explain(removed).await;
    remove_the_lease(&ground).await;
    let again = ground.release.install(chart(), &values, &PATIENT).await;
    ground.or_explain(again).await;
    let leader = led_by_who_runs(&ground).await;
    assert_eq!(kept(&ground).await, before);

    looks_have_answers(&ground, &leader).await;
    evict(&ground, &leader).await;
    led_by_who_runs(&ground).await;
    assert_eq!(kept(&ground).await, before);
    let namespace = sensitive::remember_namespace(&ground.client, &ground.namespace);
    namespace.await.unwrap();
}

#[tokio::test]
async fn helm_does_not_call_ready_what_does_not_run() {
    let ground = Ground::among_others().await;
    let unnamed = json!({"image": {"repository": "elsewhere/other"}});
    let values = with(ground.values(), unnamed);
    let refused = ground.release.install(chart(), &values, &IMPATIENT).await;
    assert!(refused.is_err(), "{refused:?}");
    let pods = ground.kubectl(&["get", "pods", "-o", "yaml"]).await;
    assert!(pods.contains("reason: ErrImagePull"), "{pods}");
}

/// The leader follows the Secret of before until it ends, and it ends only when the new copy is ready. With another Lease
/// both would lead, unless one ends before the other begins.
#[tokio::test]
async fn a_release_that_names_another_key_secret_and_then_another_lease_is_upgraded() {
    let ground = Ground::among_others().await;
    ground.apply(&good()).await;
    let values = ground.values();
    let installed = ground.release.install(chart(), &values, &PATIENT).await;
    ground.or_explain(installed).await;
    let mailbox = ground.is(Kind::Mailbox, "room-a", "Ready=True/Activated");
    let before = mailbox.await["status"]["subscription"]["endpointHash"].clone();
    let url = ground.emulator.subscriptions()[0].notification_url.clone();
    let installation = url.split("/v1/notifications/").nth(1).unwrap();
    let installation = installation.split('/').next();

    let another = json!({"keySecret": {"name": "signing"}, "takeOverFrom": installation});
    let renamed = with(values, another);
    let upgraded = ground.release.upgrade(chart(), &renamed, &PATIENT).await;
    ground.or_explain(upgraded).await;
    let replaced = wait::until("the subscription is signed anew", DEADLINE, async || {
        let mailbox = ground.get(Kind::Mailbox, "room-a").await.unwrap();
        let hash = &mailbox["status"]["subscription"]["endpointHash"];
        hash.is_string() && *hash != before
    });
    ground.or_explain(replaced.await).await;
    let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), &ground.namespace);
    for name in [format!("{}-key", ground.name), "signing".to_owned()] {
        let keys = secrets.get(&name).await.unwrap().data.unwrap();
        assert_eq!(keys.len(), 1, "{name}: {:?}", keys.keys());
    }

    let recreated = json!({"strategy": {"type": "Recreate"}});
    let elsewhere = json!({"leaderElection": {"leaseName": "another"}});
    let values = with(with(renamed, recreated), elsewhere);
    let upgraded = ground.release.upgrade(chart(), &values, &PATIENT).await;
    ground.or_explain(upgraded).await;
    led_by(&ground, "another").await;
}
