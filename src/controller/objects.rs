//! From Kubernetes objects to records: just what decisions use.

use jiff::Timestamp;
use kube::core::{DynamicObject, ObjectMeta};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::api::v1alpha1::mailbox::{WorkspaceMailboxSpec, WorkspaceMailboxStatus};
use crate::api::v1alpha1::tenant::{CalendarTenantSpec, CalendarTenantStatus};
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::ids::{ObjectKey, Uid};

/// Asks for a check now; any new value counts.
pub(super) const REQUESTED_AT: &str = "hybridcalendar.dev/reconcile-requested-at";

/// Why an object cannot be worked on. Its other fields are left alone.
#[derive(Debug, Error)]
pub(super) enum Malformed {
    /// Something that every stored object has is not there.
    #[error("metadata.{field} is missing or unreadable")]
    Metadata {
        /// Which.
        field: &'static str,
    },
    /// A field has a form that no version of the API has.
    #[error("{part} cannot be read: {}", without_values(source))]
    Content {
        /// `spec` or `status`.
        part: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

/// What is wrong with a field, without what is in it: it is logged, and may be an address.
fn without_values(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if said.starts_with("missing field") {
        return said;
    }
    let cause = said.split([':', '`', '"']).next().unwrap_or_default();
    cause.trim().to_owned()
}

pub(super) fn tenant(object: DynamicObject) -> Result<TenantRecord, Malformed> {
    record::<CalendarTenantSpec, CalendarTenantStatus>(object)
}

pub(super) fn mailbox(object: DynamicObject) -> Result<MailboxRecord, Malformed> {
    record::<WorkspaceMailboxSpec, WorkspaceMailboxStatus>(object)
}

/// The name of an object; `None` for one without, which the API server does not store.
pub(super) fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
    let namespace = metadata.namespace.as_deref()?;
    Some(ObjectKey::new(namespace, metadata.name.as_deref()?))
}

fn record<Spec, Status>(object: DynamicObject) -> Result<Record<Spec, Status>, Malformed>
where
    Spec: DeserializeOwned,
    Status: DeserializeOwned + Default,
{
    let DynamicObject {
        types: _,
        metadata,
        mut data,
    } = object;
    let missing = |field| Malformed::Metadata { field };
    let mut part = |name: &'static str| data.get_mut(name).map(serde_json::Value::take);
    let unreadable = |part| move |source| Malformed::Content { part, source };
    let spec = part("spec").unwrap_or_default();
    let status = part("status").filter(|status| !status.is_null());
    let created = metadata
        .creation_timestamp
        .as_ref()
        .ok_or(missing("creationTimestamp"))?;
    let created_at =
        Timestamp::from_second(created.0.as_second()).map_err(|_| missing("creationTimestamp"))?;
    Ok(Record {
        key: key_of(&metadata).ok_or(missing("name"))?,
        uid: metadata
            .uid
            .as_deref()
            .and_then(Uid::parse)
            .ok_or(missing("uid"))?,
        generation: metadata.generation.ok_or(missing("generation"))?,
        resource_version: metadata
            .resource_version
            .ok_or(missing("resourceVersion"))?,
        created_at,
        requested_at: metadata
            .annotations
            .and_then(|mut all| all.remove(REQUESTED_AT)),
        spec: serde_json::from_value(spec).map_err(unreadable("spec"))?,
        status: match status {
            Some(status) => serde_json::from_value(status).map_err(unreadable("status"))?,
            None => Status::default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(status: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "hybridcalendar.dev/v1alpha1",
            "kind": "WorkspaceMailbox",
            "metadata": {
                "name": "room-a", "namespace": "rooms", "uid": "5f1d7a9c-1111-4000-8000-000000000001",
                "generation": 3, "resourceVersion": "42", "creationTimestamp": "2026-11-25T08:00:00Z",
                "annotations": {REQUESTED_AT: "now"},
            },
            "spec": {"tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_record_has_what_decisions_use() {
        let record = mailbox(object(&json!({"observedGeneration": -1}))).unwrap();
        assert_eq!(record.key, ObjectKey::new("rooms", "room-a"));
        assert_eq!(
            (record.generation, record.requested_at.as_deref()),
            (3, Some("now"))
        );
        assert_eq!(record.status.observed_generation, Some(-1));
    }

    #[test]
    fn a_status_of_no_known_form_is_an_error_that_names_it() {
        let error = mailbox(object(&json!({"conditions": "none"}))).unwrap_err();
        assert!(
            error.to_string().starts_with("status cannot be read"),
            "{error}"
        );
    }
}
