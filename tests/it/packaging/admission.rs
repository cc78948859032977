//! The chart's admission policies on the real API server: whom they stop, whom they let pass, and what they say.

use std::collections::BTreeMap;

use http::Request;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use serde_json::{Value, json};
use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use testbed::wait;

use super::cluster::{DEADLINE, prepared};
use super::helm::{RELEASE, objects, template};

const TENANTS: &str = "calendartenants";

fn rule(group: &str, resource: &str, verbs: &[&str], name: Option<&str>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: name.map(|name| vec![name.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        non_resource_urls: None,
    }
}

/// A namespace in which the policies of an installation of their own act.
struct Scene {
    control_plane: &'static ControlPlane,
    admin: Client,
    namespace: String,
}

impl Scene {
    /// Installs the policies that the chart renders with these values, for this namespace only.
    async fn new(values: &str) -> Self {
        let control_plane = prepared().await;
        let namespace = control_plane.namespace().await.unwrap();
        let values = format!(
            "--set=notificationUrl=https://calendar.example,fullnameOverride={namespace},{values}"
        );
        for mut object in objects(&template(&[&values]).await.unwrap()) {
            let kind = object["kind"].as_str().unwrap();
            if kind.starts_with("ValidatingAdmissionPolicy") {
                let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}});
                if kind.ends_with("Binding") {
                    object["spec"]["matchResources"] = here;
                }
                control_plane
                    .apply(&namespace, &object.to_string())
                    .await
                    .unwrap();
            }
        }
        Self {
            admin: control_plane.admin().await.unwrap(),
            control_plane,
            namespace,
        }
    }

    /// Somebody who may write tenants, and has these rights besides.
    async fn author(&self, name: &str, more: &[PolicyRule]) -> Client {
        let tenants = rule(
            "hybridcalendar.dev",
            TENANTS,
            &["create", "update", "patch", "get"],
            None,
        );
        let rules = [&[tenants], more].concat();
        let rights = Rights {
            everywhere: Vec::new(),
            within: BTreeMap::from([(self.namespace.clone(), rules)]),
        };
        let made = self
            .control_plane
            .service_account(&self.namespace, name, &rights);
        let kubeconfig = made.await.unwrap();
        self.control_plane.client_for(&kubeconfig).await.unwrap()
    }

    fn tenant(&self, name: &str, credential: &Value) -> Value {
        json!({
            "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "CalendarTenant",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
                "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
                "credential": credential,
            },
        })
    }

    fn url(&self, name: Option<&str>) -> String {
        let name = name.map(|name| format!("/{name}")).unwrap_or_default();
        let base = "/apis/hybridcalendar.dev/v1alpha1/namespaces";
        format!("{base}/{}/{TENANTS}{name}?dryRun=All", self.namespace)
    }

    /// What the API server says to a tenant that somebody would like to create.
    async fn create(&self, author: &Client, tenant: &Value) -> Result<(), String> {
        let request = Request::post(self.url(None)).header("content-type", "application/json");
        answer(author, request, tenant).await
    }

    /// What it says to a change of one.
    async fn patch(&self, author: &Client, name: &str, change: &Value) -> Result<(), String> {
        let request = Request::patch(self.url(Some(name)))
            .header("content-type", "application/merge-patch+json");
        answer(author, request, change).await
    }

    /// Waits until a policy that was just installed acts. What it says.
    async fn refused(&self, author: &Client, tenant: &Value) -> String {
        let refused = wait::for_some("the policy refuses", DEADLINE, async || {
            self.create(author, tenant).await.err()
        });
        refused.await.unwrap()
    }
}

async fn answer(
    client: &Client,
    request: http::request::Builder,
    body: &Value,
) -> Result<(), String> {
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(other) => panic!("{other}"),
    }
}

fn by_secret(name: &str) -> Value {
    json!({"clientSecret": {"secretRef": {"name": name}}})
}

fn by_account(name: &str) -> Value {
    json!({"workloadIdentity": {"serviceAccountName": name}})
}

#[tokio::test]
async fn whoever_makes_a_tenant_use_a_credential_must_be_allowed_to_use_it() {
    let scene = Scene::new("crds.enabled=false").await;
    let nobody = scene.author("nobody", &[]).await;
    let message = scene
        .refused(&nobody, &scene.tenant("a", &by_secret("graph")))
        .await;
    for part in [
        "spec.credential names the Secret graph",
        &format!("system:serviceaccount:{}:nobody", scene.namespace),
        "the verb \"use\" (or \"get\") on secrets, resourceNames [\"graph\"]",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    let certificate = json!({"certificate": {"secretRef": {"name": "tls"}}});
    let message = scene
        .refused(&nobody, &scene.tenant("a", &certificate))
        .await;
    assert!(message.contains("the Secret tls"), "{message}");
    let message = scene
        .refused(&nobody, &scene.tenant("a", &by_account("calendars")))
        .await;
    let remedy = "\"use\" on serviceaccounts (or \"create\" on serviceaccounts/token)";
    assert!(
        message.contains("the ServiceAccount calendars"),
        "{message}"
    );
    assert!(message.contains(remedy), "{message}");

    let accounts = "serviceaccounts";
    for (name, right, credential) in [
        (
            "user",
            rule("", "secrets", &["use"], Some("graph")),
            by_secret("graph"),
        ),
        (
            "reader",
            rule("", "secrets", &["get"], None),
            by_secret("graph"),
        ),
        (
            "bearer",
            rule("", accounts, &["use"], Some("calendars")),
            by_account("calendars"),
        ),
        (
            "issuer",
            rule("", "serviceaccounts/token", &["create"], None),
            by_account("calendars"),
        ),
    ] {
        let author = scene.author(name, &[right]).await;
        let allowed = scene.create(&author, &scene.tenant("a", &credential)).await;
        assert_eq!(allowed, Ok(()), "{name}");
        let another = match credential.get("clientSecret") {
            Some(_) => by_account("calendars"),
            None => by_secret("graph"),
        };
        let refused = scene.create(&author, &scene.tenant("a", &another)).await;
        assert!(refused.is_err(), "{name} uses {another}");
    }
}

#[tokio::test]
async fn a_credential_in_use_binds_only_those_who_change_its_use() {
    let scene = Scene::new("crds.enabled=false").await;
    let nobody = scene.author("nobody", &[]).await;
    scene
        .refused(&nobody, &scene.tenant("probe", &by_secret("graph")))
        .await;
    let mut tenant = scene.tenant("contoso", &by_secret("graph"));
    tenant["spec"]["testMailbox"] = "test@contoso.example".into();
    tenant["spec"]["domains"] = json!(["contoso.example", "contoso-labs.example"]);
    tenant["spec"]["allowedNamespaces"] = selecting("rooms");
    let here = tenant.to_string();
    scene
        .control_plane
        .apply(&scene.namespace, &here)
        .await
        .unwrap();
    for change in no_other_use() {
        let changed = scene
            .patch(&nobody, "contoso", &json!({"spec": change}))
            .await;
        assert_eq!(changed, Ok(()), "{change}");
    }
    for (change, says) in another_use() {
        let change = json!({"spec": change});
        let refused = scene.patch(&nobody, "contoso", &change).await.unwrap_err();
        for part in ["may not use", says] {
            assert!(refused.contains(part), "{change}: no {part:?} in {refused}");
        }
        let changed = scene.patch(&scene.admin, "contoso", &change).await;
        assert_eq!(changed, Ok(()), "{change} by the administrator");
    }
}

fn selecting(team: &str) -> Value {
    json!({"from": "Selector", "selector": {"matchLabels": {"team": team}}})
}

/// What leaves a credential to those who have it, or takes something away from them.
fn no_other_use() -> [Value; 8] {
    [
        json!({"checkInterval": "2h"}),
        json!({"suspend": true, "features": []}),
        json!({"credential": {"clientSecret": {"notAfter": "2027-06-30T00:00:00Z"}}}),
        json!({"domains": ["contoso.example"]}),
        json!({"testMailbox": null}),
        json!({"allowedNamespaces": {"from": "Same", "selector": null}}),
        json!({"allowedNamespaces": selecting("rooms")}),
        json!({"isolationProbe": {"mailbox": "ceo@contoso.example"}}),
    ]
}

/// What puts a credential to another use, and what the policy says of it.
fn another_use() -> [(Value, &'static str); 11] {
    let elsewhere =
        json!({"login": "https://elsewhere.example", "graph": "https://elsewhere.example"});
    let secret = |name, key| json!({"clientSecret": {"secretRef": {"name": name, "key": key}}});
    let certificate =
        json!({"clientSecret": null, "certificate": {"secretRef": {"name": "graph"}}});
    let account =
        json!({"clientSecret": null, "workloadIdentity": {"serviceAccountName": "another"}});
    [
        (
            json!({"credential": by_secret("another")}),
            "the Secret another",
        ),
        (
            json!({"credential": secret("graph", "other")}),
            "the Secret graph (key other)",
        ),
        (
            json!({"credential": certificate}),
            "the Secret graph (certificate)",
        ),
        (json!({"credential": account}), "the ServiceAccount another"),
        (
            json!({"clientId": "5f1d7a9c-2222-4000-8000-000000000002"}),
            "and spec.clientId would put it to another use",
        ),
        (json!({"endpoints": elsewhere}), "and spec.endpoints would"),
        (
            json!({"testMailbox": "ceo@contoso.example"}),
            "and spec.testMailbox would",
        ),
        (
            json!({"allowedNamespaces": {"from": "All", "selector": null}}),
            "and spec.allowedNamespaces would",
        ),
        (
            json!({"allowedNamespaces": selecting("offices"), "domains": []}),
            "and spec.allowedNamespaces, spec.domains would",
        ),
        (
            json!({"domains": ["contoso.example", "other.example"]}),
            "and spec.domains would",
        ),
        (json!({"domains": null}), "and spec.domains would"),
    ]
}

#[tokio::test]
async fn the_operator_writes_no_secret_but_its_own() {
    let scene = Scene::new("admissionPolicies.credentialUse=false").await;
    let account = format!("system:serviceaccount:{RELEASE}:{}", scene.namespace);
    let keys = format!("{}-key", scene.namespace);
    let create = async |user: &str, name: &str, type_: &str| {
        let url = format!("/api/v1/namespaces/{}/secrets?dryRun=All", scene.namespace);
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("impersonate-user", user)
            .header("impersonate-group", "system:masters");
        let annotations = json!({"kubernetes.io/service-account.name": "default"});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": type_,
            "metadata": {"name": name, "annotations": annotations}});
        answer(&scene.admin, request, &secret).await
    };
    let message = wait::for_some("the policy refuses", DEADLINE, async || {
        create(&account, "other", "Opaque").await.err()
    });
    let message = message.await.unwrap();
    assert!(
        message.contains("The operator may write one Secret"),
        "{message}"
    );
    let token = "kubernetes.io/service-account-token";
    assert!(create(&account, &keys, token).await.is_err());
    assert_eq!(create(&account, &keys, "Opaque").await, Ok(()));
    assert_eq!(create("somebody", "other", "Opaque").await, Ok(()));
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TENANTS_DEFINITION: &str = "calendartenants.hybridcalendar.dev";
const MAILBOXES_DEFINITION: &str = "workspacemailboxes.hybridcalendar.dev";
/// Of somebody else.
const CERTIFICATES_DEFINITION: &str = "certificates.cert-manager.io";

/// Asks what deleting would do: the real definitions serve other tests.
async fn would_delete(scene: &Scene, url: &str) -> Result<(), String> {
    // With a body, the API server reads its options from there.
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
    let request = Request::delete(url).header("content-type", "application/json");
    answer(&scene.admin, request, &options).await
}

#[tokio::test]
async fn definitions_are_not_deleted_by_accident() {
    let scene = Scene::new("admissionPolicies.credentialUse=false").await;
    let tenants = format!("{DEFINITIONS}/{TENANTS_DEFINITION}");
    let message = wait::for_some("the policy refuses", DEADLINE, async || {
        would_delete(&scene, &tenants).await.err()
    });
    let message = message.await.unwrap();
    for words in [
        "deletes every CalendarTenant of the cluster",
        "hybridcalendar.dev/confirm-deletion=true",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let collection = format!("{DEFINITIONS}?fieldSelector=metadata.name%3D{TENANTS_DEFINITION}");
    assert!(would_delete(&scene, &collection).await.is_err());
    let others = format!("{DEFINITIONS}/{CERTIFICATES_DEFINITION}");
    assert_eq!(would_delete(&scene, &others).await, Ok(()));

    let mailboxes = format!("{DEFINITIONS}/{MAILBOXES_DEFINITION}");
    for (confirmed, refused) in [("false", true), ("true", false)] {
        let annotations = json!({"hybridcalendar.dev/confirm-deletion": confirmed});
        let request =
            Request::patch(&mailboxes).header("content-type", "application/merge-patch+json");
        let confirmation = json!({"metadata": {"annotations": annotations}});
        answer(&scene.admin, request, &confirmation).await.unwrap();
        let deleted = would_delete(&scene, &mailboxes).await;
        assert_eq!(deleted.is_err(), refused, "{confirmed}: {deleted:?}");
    }
}

#[tokio::test]
async fn an_object_where_nobody_looks_is_warned_about() {
    let scene =
        Scene::new("admissionPolicies.credentialUse=false,watchNamespaces={rooms,offices}").await;
    let tenant = scene.tenant("a", &by_secret("graph"));
    let body = serde_json::to_vec(&tenant).unwrap();
    let warning = wait::for_some("a warning", DEADLINE, async || {
        let request = Request::post(scene.url(None)).header("content-type", "application/json");
        let request = request
            .body(kube::client::Body::from(body.clone()))
            .unwrap();
        let answer = scene.admin.send(request).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        let warning = answer.headers().get("warning")?;
        Some(warning.to_str().unwrap().to_owned())
    });
    let warning = warning.await.unwrap();
    let expected = format!("The namespace {} is not looked at", scene.namespace);
    assert!(warning.contains(&expected), "{warning}");
    assert!(warning.contains("use one of offices, rooms"), "{warning}");
}
