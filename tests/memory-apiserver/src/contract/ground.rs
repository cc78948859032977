//! What rules ask with, and how they look at answers.

use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    Api, DynamicObject, ListParams, PostParams, VersionMatch, WatchEvent, WatchParams,
};
use kube::client::Body;
use kube::core::response::Status;
use kube::core::watch::Bookmark;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Ground;

/// How long an API server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const GROUP: &str = "hybridcalendar.dev";

impl Ground {
    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn mailboxes(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", "WorkspaceMailbox");
        let resource = ApiResource::from_gvk_with_plural(&kind, "workspacemailboxes");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// A mailbox of this name that is there.
    pub(super) async fn mailbox(&self, name: &str) -> DynamicObject {
        let mailbox = mailbox(name, &json!({}));
        let (mailboxes, parameters) = (self.mailboxes(), PostParams::default());
        mailboxes.create(&parameters, &mailbox).await.unwrap()
    }

    /// A Secret of this name that is there, with a label.
    pub(super) async fn secret(&self, name: &str, (label, value): (&str, &str)) -> Secret {
        let secret = json!({"metadata": {"name": name, "labels": {label: value}}});
        let secret = serde_json::from_value(secret).unwrap();
        let (secrets, parameters) = (self.secrets(), PostParams::default());
        secrets.create(&parameters, &secret).await.unwrap()
    }

    /// What happens to Secrets from now on.
    pub(super) async fn watch_secrets(&self, parameters: &WatchParams) -> Told<Secret> {
        let secrets = self.secrets();
        Told::by(&secrets, parameters, &now(&secrets).await).await
    }

    /// The path of all objects of a kind in this namespace.
    pub(super) fn path(&self, plural: &str) -> String {
        let root = match plural {
            "secrets" | "serviceaccounts" => "/api/v1".to_owned(),
            "leases" => "/apis/coordination.k8s.io/v1".to_owned(),
            "events" => "/apis/events.k8s.io/v1".to_owned(),
            _ => format!("/apis/{GROUP}/v1alpha1"),
        };
        format!("{root}/namespaces/{}/{plural}", self.namespace)
    }

    /// A request as it is, and its answer as it is.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let media = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(Bytes::from(body.to_string()))
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .body(body)
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        (code, serde_json::from_slice(&bytes).unwrap())
    }

    /// An update of a status, as the operator does it; `metadata` may name a version and a UID.
    pub(super) async fn write_status(
        &self,
        name: &str,
        (metadata, status): (Value, Value),
    ) -> (u16, Value) {
        let mut object = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "WorkspaceMailbox",
            "metadata": metadata, "status": status,
        });
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(self.namespace);
        let path = format!(
            "{}/{name}/status?fieldManager=hybrid-calendar-operator&fieldValidation=Ignore",
            self.path("workspacemailboxes")
        );
        self.ask("PUT", &path, &object).await
    }
}

/// What a mailbox is that is created; `more` goes beside its spec.
pub(super) fn mailbox(name: &str, more: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "WorkspaceMailbox", "metadata": {"name": name},
        "spec": {"tenantRef": {"name": "contoso"}, "address": format!("{name}@contoso.example")},
    });
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

pub(super) fn value(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

/// What a refused call was told.
pub(super) fn refusal<T: fmt::Debug>(answer: kube::Result<T>) -> Status {
    let error = answer.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("no answer of the API server: {error}");
    };
    *status
}

/// Asserts code and reason of a refusal, and a part of its message.
pub(super) fn refused((code, body): &(u16, Value), expected: (u16, &str, &str)) {
    let said = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (*code, said("reason").as_str()),
        (expected.0, expected.1),
        "{body}"
    );
    assert!(said("message").contains(expected.2), "{body}");
    assert_eq!(
        (
            &body["kind"],
            &body["apiVersion"],
            &body["status"],
            &body["code"]
        ),
        (
            &json!("Status"),
            &json!("v1"),
            &json!("Failure"),
            &json!(code)
        )
    );
}

pub(super) fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.unwrap().parse().unwrap()
}

/// The version of what is there. The API server's cache, which is what watches of version 0 begin with, has it after this.
pub(super) async fn now<K>(api: &Api<K>) -> String
where
    K: Clone + fmt::Debug + serde::de::DeserializeOwned,
{
    let list = api.list(&ListParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    // What the cache answers, once it is as new as that.
    let cached = ListParams::default()
        .at(&version)
        .matching(VersionMatch::NotOlderThan);
    api.list(&cached).await.unwrap();
    version
}

/// Events of a watch, with a deadline for each.
pub(super) struct Told<K>(pub(super) BoxStream<'static, kube::Result<WatchEvent<K>>>);

impl<K> Told<K>
where
    K: Clone + fmt::Debug + Send + serde::de::DeserializeOwned + serde::Serialize + 'static,
{
    pub(super) async fn by(api: &Api<K>, parameters: &WatchParams, version: &str) -> Self {
        let stream = api.watch(parameters, version).await.unwrap();
        Self(stream.boxed())
    }

    /// The next event as `ADDED name`, with its object. Bookmarks are left out.
    pub(super) async fn next(&mut self) -> (String, Value) {
        loop {
            let event = timeout(PATIENCE, self.0.try_next()).await;
            let event = event.expect("an event in time").unwrap().expect("an event");
            let (kind, object) = match &event {
                WatchEvent::Added(object) => ("ADDED", value(object)),
                WatchEvent::Modified(object) => ("MODIFIED", value(object)),
                WatchEvent::Deleted(object) => ("DELETED", value(object)),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => {
                    return (format!("ERROR {}", status.code), value(status));
                }
            };
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            return (format!("{kind} {name}"), object);
        }
    }

    /// The next event, which tells where a list ends.
    pub(super) async fn end_of_list(&mut self) -> Bookmark {
        let event = timeout(PATIENCE, self.0.try_next()).await;
        let Some(WatchEvent::Bookmark(end)) = event.expect("an event in time").unwrap() else {
            panic!("no bookmark at the end of the list");
        };
        let marked = end.metadata.annotations.get("k8s.io/initial-events-end");
        assert_eq!(marked.map(String::as_str), Some("true"));
        end
    }

    /// The next events, without their objects.
    pub(super) async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.next().await.0);
        }
        names
    }
}
