//! Reads of the cluster beside the watches.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::objects::{Malformed, Stored};
use super::status::resource;
use crate::api_server::in_time;
use crate::config::Scope;
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::domain::sweep::Named;
use crate::ids::{Kind, ObjectKey, SubscriptionId};

/// Objects in one page of a list. A page is parsed as a whole, which takes many times the memory of what is kept of it and
/// makes the peak after a restart.
pub(super) const PAGE: u32 = 100;

/// Why the cluster could not be read.
#[derive(Debug, Error)]
pub(super) enum ReadError {
    /// The API server refused or did not answer.
    #[error("the API server did not answer: {source}")]
    Cluster {
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// What came back makes no sense.
    #[error("the object cannot be used: {source}")]
    Malformed {
        /// Why not.
        #[source]
        source: Malformed,
    },
}

fn refused(error: kube::Error) -> ReadError {
    ReadError::Cluster {
        source: Box::new(error),
    }
}

/// Objects of one of our kinds, in a namespace or in all.
pub(super) fn objects<K>(client: &Client, kind: Kind, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    let (client, resource) = (client.clone(), resource(kind));
    match namespace {
        Some(name) => Api::namespaced_with(client, name, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// A mailbox as it is now; `None` when there is none of this name.
pub(super) async fn mailbox(
    client: &Client,
    key: &ObjectKey,
) -> Result<Option<MailboxRecord>, ReadError> {
    read(client, Kind::WorkspaceMailbox, key).await
}

/// A tenant as it is now; `None` when there is none of this name.
pub(super) async fn tenant(
    client: &Client,
    key: &ObjectKey,
) -> Result<Option<TenantRecord>, ReadError> {
    read(client, Kind::CalendarTenant, key).await
}

async fn read<Spec, Status>(
    client: &Client,
    kind: Kind,
    key: &ObjectKey,
) -> Result<Option<Record<Spec, Status>>, ReadError>
where
    Stored<Spec, Status>: Clone + std::fmt::Debug + DeserializeOwned,
    Spec: DeserializeOwned,
    Status: DeserializeOwned + Default,
{
    let api: Api<Stored<Spec, Status>> = objects(client, kind, Some(&key.namespace));
    let object = in_time(api.get_opt(&key.name)).await.map_err(refused)?;
    object
        .map(Stored::record)
        .transpose()
        .map_err(|source| ReadError::Malformed { source })
}

/// The version of all objects of a kind as they are now: watches have shown everything up to here when they show anything
/// that is not older.
pub(super) async fn version(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<String, ReadError> {
    let api: Api<DynamicObject> = objects(client, kind, namespace);
    // No version is asked for, so that this is no answer from a cache that lags behind.
    let one = ListParams::default().limit(1);
    let page = in_time(api.list_metadata(&one)).await.map_err(refused)?;
    Ok(page.metadata.resource_version.unwrap_or_default())
}

/// Every subscription that some mailbox's status names, read afresh.
pub(super) async fn named_subscriptions(
    client: &Client,
    scope: &Scope,
) -> Result<Named, ReadError> {
    let mut seen = Named::new();
    for place in scope.places() {
        let api = objects(client, Kind::WorkspaceMailbox, place.as_deref());
        match (add_named(&api, &mut seen).await, place) {
            (Err(error), Some(name)) if is_gone(client, &name, &error).await => {}
            (named, _) => named.map_err(refused)?,
        }
    }
    Ok(seen)
}

async fn add_named(api: &Api<DynamicObject>, named: &mut Named) -> kube::Result<()> {
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = in_time(api.list(&parameters)).await?;
        named.extend(page.items.iter().filter_map(named_by));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = ListParams::default().limit(PAGE).continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Whether a call was refused because its namespace is gone: what grants us rights in it went with it.
pub(super) async fn is_gone(client: &Client, namespace: &str, error: &kube::Error) -> bool {
    let refused = matches!(error, kube::Error::Api(status) if status.code == 403);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    refused
        && matches!(
            in_time(namespaces.get_metadata_opt(namespace)).await,
            Ok(None)
        )
}

fn named_by(object: &DynamicObject) -> Option<(SubscriptionId, i64)> {
    let id = object.data.pointer("/status/subscription/id")?.as_str()?;
    let generation = object.metadata.generation.unwrap_or_default();
    Some((SubscriptionId::new(id), generation))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stage::{Stage, room};
    use super::*;
    use crate::api_server::ANSWER_TIME;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_not_waited_for_long() {
        let stage = Stage::with_cluster(|_| None);
        let asked = tokio::time::Instant::now();
        let read = mailbox(&stage.around.client, &room(1).key).await;
        assert!(read.is_err());
        assert!(asked.elapsed() <= ANSWER_TIME + Duration::from_secs(1));
        let named = named_subscriptions(&stage.around.client, &Scope::All).await;
        assert!(named.is_err());
    }
}
