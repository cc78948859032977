//! Writing a status: one server-side apply that holds only for the very object and version it was decided for.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use super::objects::{self, Malformed};
use crate::api::v1alpha1::mailbox::WorkspaceMailbox;
use crate::api::v1alpha1::tenant::CalendarTenant;
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::ids::Kind;

/// Owner of the fields of a status.
pub(super) const FIELD_MANAGER: &str = "hybrid-calendar-operator";

/// kube repeats refused requests by itself; this bounds it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// What became of a write.
#[derive(Debug)]
pub(super) enum Written<R> {
    /// The object as it is now.
    Done(R),
    /// Somebody changed the object meanwhile, or it is another one of the same name.
    Conflict,
    /// There is no such object any more.
    Gone,
}

/// Why a status could not be written.
#[derive(Debug, Error)]
pub(super) enum WriteError {
    /// The API server refused or did not answer.
    #[error("the API server did not take the status: {source}")]
    Cluster {
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// It took too long.
    #[error("the API server did not take the status within {} seconds", WRITE_TIMEOUT.as_secs())]
    TimedOut,
    /// What came back makes no sense.
    #[error("the API server took the status but returned an object that cannot be read: {source}")]
    Malformed {
        /// Why not.
        #[source]
        source: Malformed,
    },
}

/// The resource of a kind, for calls that do not need its types.
pub(super) fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::CalendarTenant => ApiResource::erase::<CalendarTenant>(&()),
        Kind::WorkspaceMailbox => ApiResource::erase::<WorkspaceMailbox>(&()),
    }
}

pub(super) async fn write_mailbox(
    client: &Client,
    record: &MailboxRecord,
    status: &impl Serialize,
) -> Result<Written<MailboxRecord>, WriteError> {
    let version = (WorkspaceMailbox::api_version(&()), Kind::WorkspaceMailbox);
    write(client, &version.0, version.1, record, status)
        .await?
        .read(objects::mailbox)
}

pub(super) async fn write_tenant(
    client: &Client,
    record: &TenantRecord,
    status: &impl Serialize,
) -> Result<Written<TenantRecord>, WriteError> {
    let version = (CalendarTenant::api_version(&()), Kind::CalendarTenant);
    write(client, &version.0, version.1, record, status)
        .await?
        .read(objects::tenant)
}

impl Written<DynamicObject> {
    fn read<R>(
        self,
        read: fn(DynamicObject) -> Result<R, Malformed>,
    ) -> Result<Written<R>, WriteError> {
        Ok(match self {
            Self::Done(object) => {
                Written::Done(read(object).map_err(|source| WriteError::Malformed { source })?)
            }
            Self::Conflict => Written::Conflict,
            Self::Gone => Written::Gone,
        })
    }
}

async fn write<Spec, Status>(
    client: &Client,
    api_version: &str,
    kind: Kind,
    record: &Record<Spec, Status>,
    status: &impl Serialize,
) -> Result<Written<DynamicObject>, WriteError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &record.key.namespace, &resource(kind));
    let patch = Patch::Apply(json!({
        "apiVersion": api_version,
        "kind": kind.as_str(),
        "metadata": {
            "name": record.key.name,
            "namespace": record.key.namespace,
            "uid": record.uid,
            "resourceVersion": record.resource_version,
        },
        "status": status,
    }));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let call = api.patch_status(&record.key.name, &parameters, &patch);
    match tokio::time::timeout(WRITE_TIMEOUT, call).await {
        Ok(Ok(object)) => Ok(Written::Done(object)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Written::Gone),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(Written::Conflict),
        Ok(Err(source)) => Err(WriteError::Cluster {
            source: Box::new(source),
        }),
        Err(_) => Err(WriteError::TimedOut),
    }
}
