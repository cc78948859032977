//! What the real API server says to the objects of a chart.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use serde_json::Value;
use testbed::control_plane::ControlPlane;
use testbed::crds;

use super::helm::RELEASE;
use crate::repository::{files, read};

/// Far more than anything takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The namespaces that the value sets name.
const NAMESPACES: &[&str] = &[RELEASE, "rooms", "offices", "leases", "keys"];

/// The shared control plane with our kinds, those of others, and the namespaces of the value sets.
pub(super) async fn prepared() -> &'static ControlPlane {
    let control_plane = ControlPlane::shared().await.unwrap();
    crds::install(control_plane).await.unwrap();
    let third_party = files("tests/it/packaging/third-party", &[".yaml"]);
    let definitions: Vec<String> = third_party.iter().map(|path| read(path)).collect();
    let definitions = definitions.join("\n---\n");
    control_plane.install_crds(&definitions).await.unwrap();
    for name in NAMESPACES {
        let yaml = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}");
        control_plane.apply(name, &yaml).await.unwrap();
    }
    control_plane
}

/// Asks the API server what it would make of objects, without storing any.
pub(super) struct Rehearsal {
    client: kube::Client,
    kinds: BTreeMap<String, (ApiResource, ApiCapabilities)>,
}

impl Rehearsal {
    pub(super) fn new(client: kube::Client) -> Self {
        Self {
            client,
            kinds: BTreeMap::new(),
        }
    }

    /// What the API server says against an object.
    pub(super) async fn apply(&mut self, object: &Value) -> Result<(), String> {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let types = object.types.clone().unwrap();
        let name = format!("{} {}", types.api_version, types.kind);
        if !self.kinds.contains_key(&name) {
            let gvk = GroupVersionKind::try_from(&types).unwrap();
            let kind = pinned_kind(&self.client, &gvk).await.unwrap();
            self.kinds.insert(name.clone(), kind);
        }
        let (resource, capabilities) = &self.kinds[&name];
        let namespace = object.metadata.namespace.as_deref();
        let api: Api<DynamicObject> = match (&capabilities.scope, namespace) {
            (Scope::Cluster, None) => Api::all_with(self.client.clone(), resource),
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client.clone(), namespace, resource)
            }
            (scope, namespace) => return Err(format!("{scope:?} in {namespace:?}")),
        };
        let parameters = PatchParams::apply("packaging").force().validation_strict();
        let (parameters, patch) = (parameters.dry_run(), Patch::Apply(&object));
        let name = object.metadata.name.as_deref().unwrap();
        let applied = api.patch(name, &parameters, &patch).await;
        applied.map(|_| ()).map_err(|error| error.to_string())
    }
}
