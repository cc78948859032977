//! What tests rely on: rights, CRDs, the audit log, namespaces that come and go.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, ListParams};
use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use testbed::{archive, crds, wait};

const DEADLINE: Duration = Duration::from_secs(20);

const CRD: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.testbed.example}
spec:
  group: testbed.example
  scope: Namespaced
  names: {kind: Lamp, plural: lamps, singular: lamp}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              watts: {type: integer, x-kubernetes-validations: [{rule: self > 0, message: a lamp needs power}]}
          status: {type: object, properties: {lit: {type: boolean}}}
";

fn lamp(spec: &str) -> String {
    format!(
        "{{apiVersion: testbed.example/v1, kind: Lamp, metadata: {{name: desk}}, spec: {spec}}}"
    )
}

fn may(verbs: &[&str], group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    }
}

#[tokio::test]
async fn a_definition_is_served_and_its_rules_speak() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    cluster.install_crds(CRD).await.unwrap();
    cluster
        .apply(&namespace, &lamp("{watts: 5}"))
        .await
        .unwrap();
    let refused = cluster.apply(&namespace, &lamp("{watts: 0}")).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("a lamp needs power")
    );
    let unknown = cluster.apply(&namespace, &lamp("{colour: red}")).await;
    assert!(unknown.unwrap_err().to_string().contains("spec.colour"));
    let output = cluster
        .kubectl([
            "get",
            "lamp",
            "desk",
            "-n",
            &namespace,
            "-o",
            "jsonpath={.spec.watts}",
        ])
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5");
}

#[tokio::test]
async fn a_service_account_may_do_what_it_was_granted_and_nothing_else() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let mut rights = Rights::default();
    rights
        .within
        .insert(namespace.clone(), vec![may(&["list"], "", "secrets")]);
    let kubeconfig = cluster
        .service_account(&namespace, "reader", &rights)
        .await
        .unwrap();
    let client = cluster.client_for(&kubeconfig).await.unwrap();
    let list = ListParams::default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    secrets.list(&list).await.unwrap();
    let elsewhere: Api<Secret> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    for refused in [
        elsewhere.list(&list).await.unwrap_err().to_string(),
        maps.list(&list).await.unwrap_err().to_string(),
    ] {
        assert!(refused.contains("forbidden"), "{refused}");
    }
}

#[tokio::test]
async fn the_audit_log_counts_writes_by_user() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let mut rights = Rights::default();
    rights
        .everywhere
        .push(may(&["get", "patch", "create"], "", "configmaps"));
    let kubeconfig = cluster
        .service_account(&namespace, "writer", &rights)
        .await
        .unwrap();
    let client = cluster.client_for(&kubeconfig).await.unwrap();
    let mark = cluster.audit_mark().await.unwrap();
    for value in ["1", "2", "3"] {
        let map = format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: counted}}, data: {{value: '{value}'}}}}"
        );
        testbed::manifest::apply(&client, &namespace, &map)
            .await
            .unwrap();
    }
    let user = format!("system:serviceaccount:{namespace}:writer");
    let entries = cluster.audit_since(mark).await.unwrap();
    let mut writes = entries.iter().filter(|e| e.user == user && e.is_write());
    assert_eq!(writes.clone().count(), 3, "{entries:#?}");
    assert!(writes.all(|e| (e.verb.as_str(), e.name.as_str()) == ("patch", "counted")));
    let before = cluster.audit_since(mark).await.unwrap();
    let later = cluster.audit_mark().await.unwrap();
    let after = cluster.audit_since(later).await.unwrap();
    assert!(before.iter().any(|e| e.user == user));
    assert!(!after.iter().any(|e| e.user == user));
}

#[tokio::test]
async fn a_deleted_namespace_is_gone_with_all_that_was_in_it() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: gone}}";
    cluster.apply(&namespace, secret).await.unwrap();
    cluster.delete_namespace(&namespace).await.unwrap();
    let client = cluster.admin().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    assert!(namespaces.get_opt(&namespace).await.unwrap().is_none());
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    assert!(secrets.get_opt("gone").await.unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_is_not_gone_while_something_in_it_stays() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: stays, finalizers: [testbed.example/stay]}}";
    cluster.apply(&namespace, map).await.unwrap();
    let refused = cluster.delete_namespace(&namespace).await.unwrap_err();
    assert!(
        refused.to_string().contains("configmaps/stays"),
        "{refused}"
    );
    let namespaces: Api<Namespace> = Api::all(cluster.admin().await.unwrap());
    assert!(namespaces.get_opt(&namespace).await.unwrap().is_some());
}

#[tokio::test]
async fn every_event_is_written_down() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let event = format!(
        r#"{{"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {{"name": "said"}},
        "eventTime": "2026-11-24T08:00:00.000000Z", "reportingController": "testbed.example/it",
        "reportingInstance": "it", "action": "Testing", "reason": "Said", "type": "Normal",
        "regarding": {{"kind": "Namespace", "name": "{namespace}", "namespace": "{namespace}"}}}}"#
    );
    cluster.apply(&namespace, &event).await.unwrap();
    let path = archive::path(archive::EVENTS).unwrap();
    wait::until("the Event is in the archive", DEADLINE, async || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&namespace))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_status_is_written_down() {
    let cluster = ControlPlane::shared().await.unwrap();
    crds::install(cluster).await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let room = r#"{"apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "WorkspaceMailbox",
        "metadata": {"name": "room"},
        "spec": {"tenantRef": {"name": "contoso"}, "address": "room@contoso.example"}}"#;
    cluster.apply(&namespace, room).await.unwrap();
    let path = archive::path(archive::STATUSES).unwrap();
    // The status that an object is born with.
    let line = format!(r#"{namespace}/room {{"observedGeneration":-1}}"#);
    wait::until("the status is in the archive", DEADLINE, async || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|l| l == line))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn tokens_can_be_checked_with_the_published_keys() {
    let cluster = ControlPlane::shared().await.unwrap();
    let keys: serde_json::Value = serde_json::from_str(&cluster.jwks().await.unwrap()).unwrap();
    assert_eq!(keys["keys"][0]["alg"], "RS256");
    assert!(cluster.issuer().starts_with("https://"));
}
