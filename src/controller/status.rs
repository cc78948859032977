//! Writing a status: one update of the status subresource that holds only for the very object and version it was decided
//! for, and only begins while this copy leads.
//!
//! Of all ways to write a status this one costs the API server least (`make bench`, scenario `writes`): it need not merge
//! anything. Whatever else is sent along with a status, such as labels, it leaves as it is.

use std::sync::Arc;

use http::Uri;
use kube::api::{PostParams, Request};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::objects::{Malformed, Stored};
use crate::api::v1alpha1::FIELD_MANAGER;
use crate::api::v1alpha1::mailbox::{WorkspaceMailbox, WorkspaceMailboxStatus};
use crate::api::v1alpha1::tenant::{CalendarTenant, CalendarTenantStatus};
use crate::api_server::in_time;
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::graph::gateway::Fence;
use crate::ids::{Kind, ObjectKey, Uid};

/// So many writes are under way at once. With more of them the API server does no more a second, and each takes a
/// connection.
const AT_ONCE: usize = 32;

/// The API server need not look for fields that it does not know, to warn of them: nobody reads the warnings.
const UNCHECKED: &str = "fieldValidation=Ignore";

/// A status for one version of one object, as it is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replaced<'a, Status> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Target<'a>,
    status: &'a Status,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: Uid,
    resource_version: &'a str,
}

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
    /// It cannot be written down as a request.
    #[error("the status cannot be sent: {source}")]
    Unsendable {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A copy that stood still must not overwrite what the next leader found.
    #[error("this copy leads no longer")]
    NotLeading,
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

/// Writes statuses while this copy leads.
#[derive(Clone)]
pub(super) struct StatusWriter {
    client: Client,
    fence: Arc<dyn Fence>,
    turns: Arc<Semaphore>,
}

impl StatusWriter {
    pub(super) fn new(client: Client, fence: Arc<dyn Fence>) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self {
            client,
            fence,
            turns,
        }
    }

    pub(super) async fn write_mailbox(
        &self,
        record: &MailboxRecord,
        status: &WorkspaceMailboxStatus,
    ) -> Result<Written<MailboxRecord>, WriteError> {
        let version = WorkspaceMailbox::api_version(&());
        self.write(&version, Kind::WorkspaceMailbox, record, status)
            .await
    }

    pub(super) async fn write_tenant(
        &self,
        record: &TenantRecord,
        status: &CalendarTenantStatus,
    ) -> Result<Written<TenantRecord>, WriteError> {
        let version = CalendarTenant::api_version(&());
        self.write(&version, Kind::CalendarTenant, record, status)
            .await
    }

    async fn write<Spec, Status>(
        &self,
        api_version: &str,
        kind: Kind,
        record: &Record<Spec, Status>,
        status: &Status,
    ) -> Result<Written<Record<Spec, Status>>, WriteError>
    where
        Stored<Spec, Status>: Clone + std::fmt::Debug + DeserializeOwned,
        Spec: DeserializeOwned + Clone,
        Status: std::fmt::Debug + Serialize + DeserializeOwned + Default + Clone,
    {
        // `Err` means a closed semaphore, and this one is never closed.
        let _turn = self.turns.acquire().await;
        if !self.fence.may_write() {
            return Err(WriteError::NotLeading);
        }
        let object = Replaced {
            api_version,
            kind: kind.as_str(),
            metadata: Target {
                name: &record.key.name,
                namespace: &record.key.namespace,
                uid: record.uid,
                resource_version: &record.resource_version,
            },
            status,
        };
        let request = request(kind, &record.key, &object)?;
        let call = self.client.request::<Stored<Spec, Status>>(request);
        match in_time(call).await {
            Ok(object) => object
                .written(record, status)
                .map(Written::Done)
                .map_err(|source| WriteError::Malformed { source }),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Written::Gone),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Written::Conflict),
            Err(source) => Err(WriteError::Cluster {
                source: Box::new(source),
            }),
        }
    }
}

fn request(
    kind: Kind,
    key: &ObjectKey,
    object: &impl Serialize,
) -> Result<http::Request<Vec<u8>>, WriteError> {
    let replace = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
        let resource = resource(kind);
        let url = DynamicObject::url_path(&resource, Some(&key.namespace));
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = serde_json::to_vec(object)?;
        let mut request =
            Request::new(url).replace_subresource("status", &key.name, &parameters, body)?;
        *request.uri_mut() = format!("{}&{UNCHECKED}", request.uri()).parse::<Uri>()?;
        Ok(request)
    };
    replace().map_err(|source| WriteError::Unsendable { source })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use jiff::Timestamp;
    use kube::client::Body;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_copy_that_leads_no_longer_writes_no_status() {
        let refused = tower::service_fn(async |_| {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(answer)
        });
        let spec = json!({"tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"});
        let record = MailboxRecord {
            key: ObjectKey::new("rooms", "room-a"),
            uid: Uid::from_bytes([1; 16]),
            generation: 1,
            resource_version: "1".into(),
            created_at: Timestamp::UNIX_EPOCH,
            requested_at: None,
            spec: serde_json::from_value(spec).unwrap(),
            status: WorkspaceMailboxStatus::default(),
        };
        let client = Client::new(refused, "rooms");
        let write = async |leads: bool| {
            let writer = StatusWriter::new(client.clone(), Arc::new(move || leads));
            writer.write_mailbox(&record, &record.status).await
        };
        assert!(matches!(write(true).await, Ok(Written::Gone)));
        assert!(matches!(write(false).await, Err(WriteError::NotLeading)));
    }
}
