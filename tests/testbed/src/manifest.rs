//! Applying YAML the way `kubectl apply --server-side` does, with strict field validation.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{ApiCapabilities, Scope, pinned_kind};
use kube::runtime::conditions::is_crd_established;
use serde::Deserialize;

use crate::error::{Attempt, Error};
use crate::wait;

const SERVED_DEADLINE: Duration = Duration::from_secs(30);

/// The objects of a YAML stream.
pub fn objects(yaml: &str) -> Result<Vec<DynamicObject>, Error> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(Option::<DynamicObject>::deserialize)
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Document {
            what: "a manifest".to_owned(),
            message: error.to_string(),
        })
}

/// Applies the documents in their order; those without a namespace go to `namespace`.
pub async fn apply(client: &Client, namespace: &str, yaml: &str) -> Result<(), Error> {
    let mut kinds = HashMap::new();
    for object in objects(yaml)? {
        let gvk = kind_of(&object)?;
        if !kinds.contains_key(&gvk) {
            let kind = pinned_kind(client, &gvk)
                .await
                .attempt(format!("find the kind {}", gvk.kind))?;
            kinds.insert(gvk.clone(), kind);
        }
        apply_one(client, namespace, &object, &kinds[&gvk]).await?;
    }
    Ok(())
}

fn kind_of(object: &DynamicObject) -> Result<GroupVersionKind, Error> {
    let types = object.types.as_ref().ok_or_else(|| Error::Document {
        what: "a manifest".to_owned(),
        message: "a document has no apiVersion and kind".to_owned(),
    })?;
    GroupVersionKind::try_from(types).map_err(|error| Error::Document {
        what: "a manifest".to_owned(),
        message: error.to_string(),
    })
}

async fn apply_one(
    client: &Client,
    namespace: &str,
    object: &DynamicObject,
    (resource, capabilities): &(ApiResource, ApiCapabilities),
) -> Result<(), Error> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, resource),
    };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let params = PatchParams::apply("testbed").force().validation_strict();
    api.patch(name, &params, &Patch::Apply(object))
        .await
        .attempt(format!("apply {} {name}", resource.kind))?;
    Ok(())
}

/// Applies CustomResourceDefinitions and waits until the API server serves them.
pub async fn install_crds(client: &Client, yaml: &str) -> Result<(), Error> {
    apply(client, "default", yaml).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for object in objects(yaml)? {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let what = format!("{name} is served");
        wait::until(&what, SERVED_DEADLINE, async || {
            served(client, &definitions, name).await
        })
        .await?;
    }
    Ok(())
}

async fn served(client: &Client, definitions: &Api<CustomResourceDefinition>, name: &str) -> bool {
    let Ok(definition) = definitions.get(name).await else {
        return false;
    };
    if !kube::runtime::wait::Condition::matches_object(&is_crd_established(), Some(&definition)) {
        return false;
    }
    let spec = &definition.spec;
    // Discovery follows a moment later.
    for version in spec.versions.iter().filter(|version| version.served) {
        let gvk = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
        if pinned_kind(client, &gvk).await.is_err() {
            return false;
        }
    }
    true
}
