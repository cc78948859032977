//! The API as the API server enforces and kubectl shows it: rules, defaults, columns, selectors, samples.
//!
//! No operator runs here. What bad manifests are told is in `manifests/*.yaml`.

use std::process::Output;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::crds;

use crate::merge_patch::merged;
use crate::repository::{files, read, root};

/// The shared control plane with our kinds installed.
async fn control_plane() -> &'static ControlPlane {
    let control_plane = ControlPlane::shared().await.unwrap();
    crds::install(control_plane).await.unwrap();
    control_plane
}

/// A change of a good object, and what becomes of it.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    pub(crate) title: String,
    pub(crate) kind: String,
    pub(crate) change: Value,
    #[serde(default)]
    pub(crate) says: Vec<String>,
    #[serde(default)]
    pub(crate) becomes: Value,
}

pub(crate) fn cases(file: &str) -> Vec<Case> {
    serde_yaml_ng::from_str(&read(&format!("tests/it/manifests/{file}.yaml"))).unwrap()
}

fn base(kind: &str) -> Value {
    let bases: Value = serde_yaml_ng::from_str(&read("tests/it/manifests/bases.yaml")).unwrap();
    bases[kind].clone()
}

/// Whether every field of `part` is in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    let Some(fields) = part.as_object() else {
        return whole == part;
    };
    fields
        .iter()
        .all(|(name, value)| contains(&whole[name], value))
}

struct Calendars<'a> {
    client: Client,
    control_plane: &'a ControlPlane,
    namespace: String,
}

impl Calendars<'static> {
    async fn new() -> Self {
        let control_plane = control_plane().await;
        Self {
            client: control_plane.admin().await.unwrap(),
            control_plane,
            namespace: control_plane.namespace().await.unwrap(),
        }
    }

    fn url(&self, kind: &str) -> String {
        let plural = match kind {
            "CalendarTenant" => "calendartenants",
            _ => "workspacemailboxes",
        };
        format!(
            "/apis/hybridcalendar.dev/v1alpha1/namespaces/{}/{plural}",
            self.namespace
        )
    }

    /// The stored object, or what the API server says against it.
    async fn request(
        &self,
        request: http::request::Builder,
        body: &Value,
    ) -> Result<Value, String> {
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        match self.client.request::<Value>(request).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(other) => panic!("{other}"),
        }
    }

    /// Creates without storing, with strict field validation as kubectl asks for it.
    async fn create_dry(&self, kind: &str, object: &Value) -> Result<Value, String> {
        let url = format!("{}?dryRun=All&fieldValidation=Strict", self.url(kind));
        let request = http::Request::post(url).header("content-type", "application/json");
        self.request(request, object).await
    }

    async fn create(&self, object: &Value) -> Value {
        let url = self.url(object["kind"].as_str().unwrap());
        let request = http::Request::post(url).header("content-type", "application/json");
        self.request(request, object).await.unwrap()
    }

    async fn set_status(&self, object: &Value, status: &Value) {
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let url = format!("{}/{name}/status", self.url(kind));
        let request =
            http::Request::patch(url).header("content-type", "application/merge-patch+json");
        self.request(request, &json!({"status": status}))
            .await
            .unwrap();
    }

    /// What kubectl prints in this namespace; it must succeed.
    async fn kubectl(&self, arguments: &str) -> String {
        let output = self.kubectl_output(arguments).await;
        assert!(output.status.success(), "kubectl {arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn kubectl_output(&self, arguments: &str) -> Output {
        let here = ["-n", self.namespace.as_str()];
        let arguments = arguments.split_whitespace().chain(here);
        self.control_plane.kubectl(arguments).await.unwrap()
    }
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[tokio::test]
async fn bad_manifests_are_refused_with_the_field_and_the_remedy() {
    let calendars = Calendars::new().await;
    let mut problems = Vec::new();
    let cases = cases("refused");
    assert!(cases.len() >= 30, "{} cases", cases.len());
    for case in cases {
        if case.says.iter().all(String::is_empty) {
            problems.push(format!("{}: nothing is expected of it", case.title));
        }
        let object = merged(base(&case.kind), case.change.clone());
        match calendars.create_dry(&case.kind, &object).await {
            Ok(_) => problems.push(format!("{}: was accepted", case.title)),
            Err(message) => {
                for part in case.says.iter().filter(|part| !message.contains(*part)) {
                    problems.push(format!("{}: no `{part}` in: {message}", case.title));
                }
            }
        }
    }
    assert_none(&problems);
}

#[tokio::test]
async fn good_manifests_are_accepted_and_defaulted() {
    let calendars = Calendars::new().await;
    let mut problems = Vec::new();
    for case in cases("accepted") {
        let object = merged(base(&case.kind), case.change.clone());
        match calendars.create_dry(&case.kind, &object).await {
            Ok(stored) if case.becomes.is_null() || contains(&stored, &case.becomes) => {}
            Ok(stored) => problems.push(format!("{}: became {stored}", case.title)),
            Err(message) => problems.push(format!("{}: {message}", case.title)),
        }
    }
    assert_none(&problems);
}

#[tokio::test]
async fn updates_may_change_everything_but_identities() {
    let calendars = Calendars::new().await;
    for kind in ["CalendarTenant", "WorkspaceMailbox"] {
        calendars.create(&base(kind)).await;
    }
    let mut problems = Vec::new();
    for case in cases("updates") {
        let name = base(&case.kind)["metadata"]["name"].clone();
        let url = format!(
            "{}/{}?dryRun=All&fieldValidation=Strict",
            calendars.url(&case.kind),
            name.as_str().unwrap()
        );
        let request =
            http::Request::patch(url).header("content-type", "application/merge-patch+json");
        let missing = |message: &String| case.says.iter().any(|part| !message.contains(part));
        match calendars.request(request, &case.change).await {
            Ok(_) if case.says.is_empty() => {}
            Ok(_) => problems.push(format!("{}: was accepted", case.title)),
            Err(message) if case.says.is_empty() || missing(&message) => {
                problems.push(format!("{}: {message}", case.title));
            }
            Err(_) => {}
        }
    }
    assert_none(&problems);
}

#[tokio::test]
async fn a_field_left_null_means_that_it_was_left_out() {
    let calendars = Calendars::new().await;
    let mut tenant = base("CalendarTenant");
    tenant["spec"]["endpoints"] = Value::Null;
    tenant["spec"]["credential"]["certificate"] = Value::Null;
    tenant["spec"]["checkInterval"] = Value::Null;
    let stored = calendars
        .create_dry("CalendarTenant", &tenant)
        .await
        .unwrap();
    let spec = stored["spec"].as_object().unwrap();
    assert!(!spec.contains_key("endpoints"), "{stored}");
    assert!(
        stored["spec"]["credential"].get("certificate").is_none(),
        "{stored}"
    );
    assert_eq!(spec["checkInterval"], "1h");
}

#[tokio::test]
async fn kubectl_apply_refuses_a_misspelt_field() {
    let calendars = Calendars::new().await;
    let mut mailbox = base("WorkspaceMailbox");
    mailbox["spec"]["subscripton"] = json!({"enabled": false});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mailbox.json");
    std::fs::write(&file, mailbox.to_string()).unwrap();
    let output = calendars
        .kubectl_output(&format!("apply -f {}", file.display()))
        .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("unknown field \"spec.subscripton\""),
        "{errors}"
    );
}

#[tokio::test]
async fn every_sample_can_be_applied() {
    let calendars = Calendars::new().await;
    let mut applied = 0;
    for path in files("config/samples", &[".yaml"]) {
        let text = read(&path);
        if text.contains("cert-manager.io/v1") {
            continue; // Kinds of another project; certificate.yaml is its twin without it.
        }
        let file = root().join(&path);
        let arguments = format!("apply --server-side -f {}", file.display());
        if text.contains("kind: Namespace") {
            let arguments = arguments.split_whitespace();
            let output = calendars.control_plane.kubectl(arguments).await.unwrap();
            assert!(output.status.success(), "{path}: {output:?}");
        } else {
            calendars.kubectl(&arguments).await;
        }
        applied += 1;
    }
    assert!(applied >= 7, "{applied} samples");
    let namespaces: Api<Namespace> = Api::all(calendars.client.clone());
    for name in ["calendars", "team-rooms"] {
        assert!(namespaces.get_opt(name).await.unwrap().is_some(), "{name}");
    }
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
           "lastTransitionTime": "2026-11-24T08:00:00Z"})
}

/// Cells of a table that kubectl printed, without the age, which moves.
fn cells(table: &str) -> Vec<Vec<String>> {
    let row = |line: &str| -> Vec<String> {
        let cells = line.split("  ").map(str::trim).filter(|c| !c.is_empty());
        cells.map(str::to_owned).collect()
    };
    table.lines().map(row).collect()
}

#[tokio::test]
async fn a_tenant_is_shown_with_its_verdict_its_mailboxes_and_its_domain() {
    let calendars = Calendars::new().await;
    let tenant = calendars.create(&base("CalendarTenant")).await;
    let status = json!({
        "conditions": [condition("Ready", "True", "Operational", "All checks passed.")],
        "domains": [
            {"name": "contoso.onmicrosoft.example", "default": false, "verified": true},
            {"name": "contoso.example", "default": true, "verified": true},
        ],
        "mailboxes": {"total": 4, "ready": 3, "summary": "3/4"},
    });
    calendars.set_status(&tenant, &status).await;
    let narrow = cells(&calendars.kubectl("get ct").await);
    assert_eq!(
        narrow[0],
        ["NAME", "READY", "REASON", "MAILBOXES", "DOMAIN", "AGE"]
    );
    assert_eq!(
        narrow[1][..5],
        ["contoso", "True", "Operational", "3/4", "contoso.example"]
    );
    let wide = cells(&calendars.kubectl("get ct -o wide").await);
    assert_eq!(wide[0][5..], ["AGE", "MESSAGE", "TENANT-ID"]);
    let id = "5f1d7a9c-1111-4000-8000-000000000001";
    assert_eq!(wide[1][6..], ["All checks passed.", id]);
}

#[tokio::test]
async fn a_mailbox_is_shown_with_its_tenant_its_verdict_and_the_end_of_its_subscription() {
    let calendars = Calendars::new().await;
    let mailbox = calendars.create(&base("WorkspaceMailbox")).await;
    let end = "2026-12-01T08:00:00Z";
    let message = "NotFound: the directory does not know the address.";
    let status = json!({
        "conditions": [condition("Ready", "False", "MailboxNotFound", message)],
        "subscription": {
            "id": "s", "ownerUid": mailbox["metadata"]["uid"], "endpointHash": "e", "keyId": 1,
            "grantedAt": end, "expiresAt": end, "renewAt": end,
        },
    });
    calendars.set_status(&mailbox, &status).await;
    let wide = cells(&calendars.kubectl("get wm -o wide").await);
    assert_eq!(
        wide[0],
        [
            "NAME", "TENANT", "ADDRESS", "READY", "REASON", "EXPIRES", "AGE", "MESSAGE"
        ]
    );
    assert_eq!(
        wide[1][..6],
        [
            "room-a",
            "contoso",
            "room-a@contoso.example",
            "False",
            "MailboxNotFound",
            end
        ]
    );
    assert_eq!(wide[1][7], message);
    let narrow = cells(&calendars.kubectl("get wm").await);
    assert_eq!(narrow[0].last().unwrap(), "AGE");
}

#[tokio::test]
async fn an_object_that_nobody_looked_at_is_not_ready_for_kubectl_wait() {
    let calendars = Calendars::new().await;
    calendars.create(&base("WorkspaceMailbox")).await;
    let generation = calendars
        .kubectl("get wm room-a -o jsonpath={.status.observedGeneration}/{.metadata.generation}")
        .await;
    assert_eq!(generation, "-1/1");
    let waiting = "wait wm/room-a --for=condition=Ready --timeout=0s";
    let output = calendars.kubectl_output(waiting).await;
    assert!(!output.status.success(), "{output:?}");
}

#[tokio::test]
async fn mailboxes_can_be_selected_by_tenant_and_by_address() {
    let calendars = Calendars::new().await;
    for (name, tenant) in [("a", "contoso"), ("b", "contoso"), ("c", "fabrikam")] {
        let address = format!("{name}@{tenant}.example");
        let change = json!({
            "metadata": {"name": name},
            "spec": {"tenantRef": {"name": tenant}, "address": address},
        });
        let mailbox = merged(base("WorkspaceMailbox"), change);
        calendars.create(&mailbox).await;
    }
    let by_tenant = "get wm -o name --field-selector spec.tenantRef.name=contoso";
    assert_eq!(calendars.kubectl(by_tenant).await.lines().count(), 2);
    let by_address = "get wm -o name --field-selector spec.address=c@fabrikam.example";
    assert_eq!(
        calendars.kubectl(by_address).await.trim(),
        "workspacemailbox.hybridcalendar.dev/c"
    );
}

#[tokio::test]
async fn both_kinds_are_in_the_categories_and_explain_themselves() {
    let calendars = Calendars::new().await;
    for kind in ["CalendarTenant", "WorkspaceMailbox"] {
        calendars.create(&base(kind)).await;
    }
    for category in ["hybridcalendar", "all"] {
        let names = calendars.kubectl(&format!("get {category} -o name")).await;
        assert!(
            names.contains("calendartenant.hybridcalendar.dev/contoso"),
            "{names}"
        );
        assert!(
            names.contains("workspacemailbox.hybridcalendar.dev/room-a"),
            "{names}"
        );
    }
    let explained = [
        ("ct.spec.credential", "exactly one"),
        (
            "ct.spec.credential.clientSecret.secretRef",
            "hybridcalendar.dev/credential",
        ),
        ("ct.spec.subscription.lifetime", "45m to 10070m"),
        ("wm.spec.tenantRef", "Immutable"),
        ("wm.status.history", "newest first"),
    ];
    for (field, text) in explained {
        let page = calendars.kubectl(&format!("explain {field}")).await;
        assert!(page.contains(text), "{field}: {page}");
    }
}

#[tokio::test]
async fn a_newer_operators_words_fit_into_this_status() {
    let calendars = Calendars::new().await;
    let mailbox = calendars.create(&base("WorkspaceMailbox")).await;
    let status = json!({"conditions": [condition("FromTheFuture", "Unknown", "NewReason", "x")]});
    calendars.set_status(&mailbox, &status).await;
    let types = calendars
        .kubectl("get wm room-a -o jsonpath={.status.conditions[*].type}")
        .await;
    assert_eq!(types, "FromTheFuture");
}

#[tokio::test]
async fn the_same_manifest_applied_again_and_again_changes_nothing() {
    let calendars = Calendars::new().await;
    let tenant = base("CalendarTenant");
    let url = format!(
        "{}/contoso?fieldManager=somebody",
        calendars.url("CalendarTenant")
    );
    let mut versions = Vec::new();
    for _ in 0..3 {
        let request =
            http::Request::patch(&url).header("content-type", "application/apply-patch+yaml");
        let stored = calendars.request(request, &tenant).await.unwrap();
        assert_eq!(stored["metadata"]["generation"], 1);
        versions.push(stored["metadata"]["resourceVersion"].clone());
    }
    // The first write after the creation also stores the default of the status, which a creation leaves out.
    assert_eq!(versions[1], versions[2]);
}

/// As the operator writes it: without spec, labels and annotations.
#[tokio::test]
async fn a_status_leaves_to_others_what_they_applied() {
    let calendars = Calendars::new().await;
    let apply = async |object: &Value| {
        let url = calendars.url("WorkspaceMailbox");
        let url = format!("{url}/room-a?fieldManager=gitops");
        let request =
            http::Request::patch(url).header("content-type", "application/apply-patch+yaml");
        calendars.request(request, object).await.unwrap()
    };
    let mut room = base("WorkspaceMailbox");
    room["metadata"]["labels"] = json!({"floor": "1"});
    room["spec"]["suspend"] = json!(true);
    let applied = apply(&room).await;
    let metadata = &applied["metadata"];
    let status = json!({
        "apiVersion": applied["apiVersion"], "kind": applied["kind"],
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"],
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        },
        "status": {"observedGeneration": 1},
    });
    let url = calendars.url("WorkspaceMailbox");
    let url = format!("{url}/room-a/status?fieldManager=operator&fieldValidation=Ignore");
    let request = http::Request::put(url).header("content-type", "application/json");
    let written = calendars.request(request, &status).await.unwrap();
    assert_eq!(written["status"]["observedGeneration"], 1);
    let owned = |object: &Value| {
        let managers = object["metadata"]["managedFields"].as_array().unwrap();
        let gitops = managers.iter().find(|one| one["manager"] == "gitops");
        gitops.unwrap()["fieldsV1"].clone()
    };
    assert_eq!(owned(&written), owned(&applied));
    room["metadata"]["labels"] = json!({});
    room["spec"].as_object_mut().unwrap().remove("suspend");
    let again = apply(&room).await;
    assert_eq!(again["metadata"]["labels"].as_object(), None);
    assert_eq!(again["spec"]["suspend"], false, "the default");
    assert_eq!(again["status"], written["status"]);
}
