//! From Kubernetes objects to records: just what decisions use.
//!
//! An object is read piece by piece, and what is not kept is not built: neither the bookkeeping of field managers, which is
//! longer than all the rest, nor the annotations of others, nor a tree of the whole object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::api::v1alpha1::mailbox::{WorkspaceMailboxSpec, WorkspaceMailboxStatus};
use crate::api::v1alpha1::tenant::{CalendarTenantSpec, CalendarTenantStatus};
use crate::domain::records::Record;
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
        let place = said.find(" at line").unwrap_or(said.len());
        return said[..place].to_owned();
    }
    let cause = said.split([':', '`', '"']).next().unwrap_or_default();
    cause.trim().to_owned()
}

/// A tenant as the API server stores it.
pub(super) type StoredTenant = Stored<CalendarTenantSpec, CalendarTenantStatus>;

/// A mailbox as the API server stores it.
pub(super) type StoredMailbox = Stored<WorkspaceMailboxSpec, WorkspaceMailboxStatus>;

/// An object as the API server stores it. Spec and status stay text until somebody asks for the record: most of what the
/// watch brings is what this process has just written itself. A part of no known form spoils this object only, not the
/// list that it is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "")]
pub(super) struct Stored<Spec, Status> {
    #[serde(default, deserialize_with = "kept_metadata")]
    metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    #[serde(skip)]
    read_as: PhantomData<fn() -> (Spec, Status)>,
}

fn read<T: DeserializeOwned>(part: &'static str, text: &RawValue) -> Result<T, Malformed> {
    serde_json::from_str(text.get()).map_err(|source| Malformed::Content { part, source })
}

/// A version of an object.
#[derive(Clone, Debug)]
pub(super) struct Revision<'a> {
    pub(super) key: ObjectKey,
    pub(super) uid: Uid,
    pub(super) resource_version: &'a str,
}

/// Those fields of the metadata that anything here looks at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

fn kept_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let kept = Metadata::deserialize(deserializer)?;
    let requested_at = kept.annotations.and_then(|all| all.requested_at);
    Ok(ObjectMeta {
        name: kept.name,
        namespace: kept.namespace,
        uid: kept.uid,
        generation: kept.generation,
        resource_version: kept.resource_version,
        creation_timestamp: kept.creation_timestamp,
        annotations: requested_at.map(|value| [(REQUESTED_AT.to_owned(), value)].into()),
        ..ObjectMeta::default()
    })
}

/// The annotation that is ours; others may hold copies of the whole object.
struct Annotations {
    requested_at: Option<String>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Annotations, A::Error> {
        let mut requested_at = None;
        while let Some(name) = all.next_key::<Cow<'de, str>>()? {
            if name == REQUESTED_AT {
                requested_at = Some(all.next_value()?);
            } else {
                all.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Annotations { requested_at })
    }
}

impl<Spec, Status> Resource for Stored<Spec, Status> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<Spec, Status> Stored<Spec, Status> {
    fn uid(&self) -> Option<Uid> {
        self.metadata.uid.as_deref().and_then(Uid::parse)
    }

    fn requested_at(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(REQUESTED_AT).map(String::as_str)
    }

    /// Which version of which object this is.
    pub(super) fn revision(&self) -> Option<Revision<'_>> {
        Some(Revision {
            key: key_of(&self.metadata)?,
            uid: self.uid()?,
            resource_version: self.metadata.resource_version.as_deref()?,
        })
    }
}

impl<Spec, Status> Stored<Spec, Status>
where
    Spec: DeserializeOwned,
    Status: DeserializeOwned + Default,
{
    /// What decisions use of it.
    pub(super) fn record(self) -> Result<Record<Spec, Status>, Malformed> {
        let missing = |field| Malformed::Metadata { field };
        let created = self.metadata.creation_timestamp.as_ref();
        let created_at = created
            .and_then(|created| Timestamp::from_second(created.0.as_second()).ok())
            .ok_or(missing("creationTimestamp"))?;
        Ok(Record {
            key: key_of(&self.metadata).ok_or(missing("name"))?,
            uid: self.uid().ok_or(missing("uid"))?,
            generation: self.metadata.generation.ok_or(missing("generation"))?,
            requested_at: self.requested_at().map(Arc::from),
            created_at,
            // Of one without a spec its fields are named as missing.
            spec: read("spec", self.spec.as_deref().unwrap_or(RawValue::NULL))?,
            status: match &self.status {
                Some(status) => read("status", status)?,
                None => Status::default(),
            },
            resource_version: self
                .metadata
                .resource_version
                .ok_or(missing("resourceVersion"))?
                .into(),
        })
    }
}

impl<Spec, Status> Stored<Spec, Status>
where
    Spec: DeserializeOwned + Clone,
    Status: DeserializeOwned + Default + Clone,
{
    /// What our own write of `status` made of `before`. It is read only where somebody else has changed more.
    pub(super) fn written(
        self,
        before: &Record<Spec, Status>,
        status: &Status,
    ) -> Result<Record<Spec, Status>, Malformed> {
        let unchanged = self.uid() == Some(before.uid)
            && self.metadata.generation == Some(before.generation)
            && self.requested_at() == before.requested_at.as_deref();
        let resource_version = self.metadata.resource_version.clone();
        match resource_version.filter(|_| unchanged) {
            Some(resource_version) => Ok(Record {
                key: before.key.clone(),
                uid: before.uid,
                generation: before.generation,
                resource_version: resource_version.into(),
                created_at: before.created_at,
                requested_at: before.requested_at.clone(),
                spec: before.spec.clone(),
                status: status.clone(),
            }),
            None => self.record(),
        }
    }
}

/// The name of an object; `None` for one without, which the API server does not store.
pub(super) fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
    let namespace = metadata.namespace.as_deref()?;
    Some(ObjectKey::new(namespace, metadata.name.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(status: &serde_json::Value) -> StoredMailbox {
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
        let record = object(&json!({"observedGeneration": -1})).record().unwrap();
        assert_eq!(record.key, ObjectKey::new("rooms", "room-a"));
        assert_eq!(
            (record.generation, record.requested_at.as_deref()),
            (3, Some("now"))
        );
        assert_eq!(record.status.observed_generation, Some(-1));
    }

    #[test]
    fn what_our_own_write_made_is_read_only_where_somebody_else_changed_more() {
        let mut before = object(&json!({})).record().unwrap();
        let decided = WorkspaceMailboxStatus {
            observed_generation: Some(3),
            ..WorkspaceMailboxStatus::default()
        };
        let answer = || object(&json!({"conditions": "not to be read"}));
        let written = answer().written(&before, &decided).unwrap();
        assert_eq!((&written.status, &written.spec), (&decided, &before.spec));
        assert_eq!(&*written.resource_version, "42");
        before.generation = 2;
        answer().written(&before, &decided).unwrap_err();
        before.generation = 3;
        before.requested_at = None;
        answer().written(&before, &decided).unwrap_err();
    }

    #[test]
    fn a_status_of_no_known_form_is_an_error_that_names_it() {
        let error = object(&json!({"conditions": "none"})).record().unwrap_err();
        assert!(
            error.to_string().starts_with("status cannot be read"),
            "{error}"
        );
    }
}
