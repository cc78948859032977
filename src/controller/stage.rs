//! A controller without a cluster and without Microsoft, for tests of what its parts do together.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::labels::Labels;
use super::lead::{Settings, Surroundings, context};
use super::mirror::Mirror;
use super::world::Context;
use crate::clock::Clock;
use crate::config::Scope;
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::identity::NotificationUrls;
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::domain::schedule::Pace;
use crate::graph::gateway::{Gateway, GatewayOptions, Writes};
use crate::ids::{InstanceId, Kind, ObjectKey, Uid};
use crate::metrics::Metrics;
use crate::notification::wake::WakeQueue;

/// When every play begins.
pub(super) fn start() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

/// What the API server says to a request; `None` is no answer at all.
type Answer = fn(&Request<Body>) -> Option<(StatusCode, Value)>;

/// What a controller needs, and the ends that others would hold.
pub(super) struct Stage {
    pub(super) settings: Settings,
    pub(super) around: Surroundings,
    pub(super) listening: Option<watch::Sender<bool>>,
    pub(super) identity: Option<watch::Sender<Option<Arc<crate::domain::identity::Identity>>>>,
}

impl Stage {
    /// An empty cluster in which nothing ever changes.
    pub(super) fn new() -> Self {
        Self::with_cluster(empty_cluster)
    }

    pub(super) fn with_cluster(answer: Answer) -> Self {
        let clock = Clock::starting_at(start());
        let metrics = Metrics::new().unwrap();
        let (listening, listens) = watch::channel(true);
        let (identity, held) = watch::channel(None);
        let options = GatewayOptions {
            ca_pem: None,
            writes: Writes::Refused,
            fence: Arc::new(|| false),
            default_patience: Duration::from_secs(1),
        };
        let urls = NotificationUrls::new(
            "https://calendars.example".parse().unwrap(),
            InstanceId::new("0123456789abcdef"),
        );
        let client = client(answer);
        let ground = (client.clone(), clock.clone(), metrics.clone());
        Self {
            settings: Settings {
                pace: Pace::REAL,
                scope: Scope::All,
                allowed_endpoints: AllowedEndpoints::default(),
                take_over_from: None,
                concurrency: 4,
                urls,
                listening: listens,
                leading_since: start(),
                served_until: start(),
                name: None,
            },
            around: Surroundings {
                gateway: Gateway::new(options, clock.clone(), metrics.clone()).unwrap(),
                clock,
                client,
                fence: Arc::new(|| true),
                identity: held,
                used_keys: watch::Sender::default(),
                wakes: WakeQueue::new(8, metrics.wake_lost.clone()),
                mirror: Mirror::new(ground, Scope::All, Labels::default()),
                metrics,
            },
            listening: Some(listening),
            identity: Some(identity),
        }
    }

    /// What leads, with what follows the cluster beside it.
    pub(super) async fn following<T>(&self, leading: impl Future<Output = T>) -> T {
        tokio::select! {
            outcome = leading => outcome,
            broken = self.around.mirror.follow() => panic!("{broken}"),
        }
    }

    /// What passes share, without anybody to make them.
    pub(super) fn context(&self) -> Context {
        context(self.settings.clone(), &self.around)
    }
}

fn client(answer: Answer) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let Some((status, body)) = answer(&request) else {
            return std::future::pending().await;
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Ok::<_, Infallible>(
            response
                .body(Body::from(body.to_string().into_bytes()))
                .unwrap(),
        )
    });
    kube::Client::new(service, "default")
}

/// Lists end at once, and nothing happens afterwards.
fn empty_cluster(request: &Request<Body>) -> Option<(StatusCode, Value)> {
    let query = request.uri().query().unwrap_or_default();
    let body = if query.contains("sendInitialEvents=") {
        json!({"type": "BOOKMARK", "object": {"kind": "Any", "apiVersion": "v1", "metadata": {
            "resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"},
        }}})
    } else if query.contains("watch=") {
        return None;
    } else {
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})
    };
    Some((StatusCode::OK, body))
}

/// A tenant of the first number.
pub(super) fn tenant(number: u8) -> TenantRecord {
    let spec = json!({
        "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
        "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
        "credential": {"clientSecret": {"secretRef": {"name": "credential"}}},
    });
    TenantRecord {
        key: ObjectKey::new("calendars", "contoso"),
        uid: Uid::from_bytes([number; 16]),
        generation: 1,
        resource_version: "1".into(),
        created_at: start(),
        requested_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: serde_json::from_value(json!({})).unwrap(),
    }
}

/// A room of that tenant.
pub(super) fn room(number: u8) -> MailboxRecord {
    let spec = json!({
        "tenantRef": {"name": "contoso"},
        "address": format!("room-{number}@contoso.example"),
    });
    MailboxRecord {
        key: ObjectKey::new("calendars", format!("room-{number}")),
        uid: Uid::from_bytes([number; 16]),
        generation: 1,
        resource_version: "1".into(),
        created_at: start(),
        requested_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: serde_json::from_value(json!({})).unwrap(),
    }
}

/// An object as the API server returns it.
pub(super) fn stored<Spec: Serialize, Status: Serialize>(
    kind: Kind,
    record: &Record<Spec, Status>,
) -> Value {
    json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": kind.as_str(),
        "metadata": {
            "name": &*record.key.name, "namespace": &*record.key.namespace, "uid": record.uid,
            "generation": record.generation, "resourceVersion": &*record.resource_version,
            "creationTimestamp": record.created_at.to_string(),
        },
        "spec": record.spec, "status": record.status,
    })
}
