//! Files that are right, and everything that can be wrong with them.

use std::fmt::Write as _;

use super::*;
use crate::domain::endpoints::AllowedEndpoints;

const GOOD: &str = "\
# The tenant
apiVersion: hybridcalendar.dev/v1alpha1
kind: CalendarTenant
metadata: {name: contoso}
spec:
  tenantId: 5f1d7a9c-1111-4000-8000-000000000001
  clientId: 5f1d7a9c-2222-4000-8000-000000000001
  credential: {clientSecret: {secretRef: {name: credential}}}
---
apiVersion: v1
kind: Secret
metadata: {name: credential, labels: {hybridcalendar.dev/credential: \"true\"}}
data: {client-secret: aHVudGVyMg==}
---

apiVersion: hybridcalendar.dev/v1alpha1
kind: WorkspaceMailbox
metadata: {name: room-a, namespace: rooms}
spec: {tenantRef: {name: contoso, namespace: default}, address: room-a@contoso.example}
";

fn read_all(texts: &[&str]) -> Result<Objects, Problems> {
    let sources: Vec<Source> = texts
        .iter()
        .zip(["one.yaml", "two.yaml", "three.yaml"])
        .map(|(text, name)| Source {
            name: name.into(),
            text: (*text).to_owned(),
        })
        .collect();
    let now = "2026-11-24T08:00:00Z".parse().unwrap();
    read(&sources, &"default".into(), now)
}

fn problems(texts: &[&str]) -> String {
    match read_all(texts) {
        Err(problems) => problems.to_string(),
        Ok(objects) => {
            let found = objects.problems(&AllowedEndpoints::default());
            assert!(!found.is_empty(), "nothing is wrong");
            Problems(found).to_string()
        }
    }
}

#[test]
fn objects_get_a_namespace_defaults_and_an_order() {
    let objects = read_all(&[GOOD]).unwrap();
    let tenant = &objects.tenants[0].record;
    assert_eq!(tenant.key, ObjectKey::new("default", "contoso"));
    assert_eq!(tenant.spec.check_interval, "1h");
    assert_eq!(tenant.status.observed_generation, Some(-1));
    let mailbox = &objects.mailboxes[0];
    assert_eq!(mailbox.record.key, ObjectKey::new("rooms", "room-a"));
    assert!(tenant.created_at < mailbox.record.created_at);
    assert_eq!(
        mailbox.place.to_string(),
        "one.yaml:16 (document 3, WorkspaceMailbox rooms/room-a)"
    );
    let secret = &objects.secrets[&ObjectKey::new("default", "credential")];
    assert_eq!(secret.data.as_ref().unwrap()["client-secret"].0, b"hunter2");
    assert!(!format!("{objects:?}").contains("hunter2"));
    assert!(objects.problems(&AllowedEndpoints::default()).is_empty());
}

#[test]
fn what_kubectl_prints_can_be_read() {
    let list = "{apiVersion: v1, kind: List, items: [\
        {apiVersion: hybridcalendar.dev/v1alpha1, kind: CalendarTenant, \
         metadata: {name: a, namespace: b, uid: 5f1d7a9c-3333-4000-8000-000000000001, generation: 4, \
                    creationTimestamp: \"2026-01-01T00:00:00Z\", resourceVersion: \"77\"}, \
         spec: {tenantId: 5f1d7a9c-1111-4000-8000-000000000001, \
                clientId: 5f1d7a9c-2222-4000-8000-000000000001, \
                credential: {workloadIdentity: {serviceAccountName: c}}}, \
         status: {conditions: []}}]}";
    let objects = read_all(&[list]).unwrap();
    let record = &objects.tenants[0].record;
    assert_eq!(record.generation, 4);
    assert_eq!(record.created_at.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(
        record.uid.to_string(),
        "5f1d7a9c-3333-4000-8000-000000000001"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let bad_mailbox = "
apiVersion: hybridcalendar.dev/v1alpha1
kind: WorkspaceMailbox
metadata: {name: Room_A, lables: {}}
spec: {tenantRef: {}, adress: x, address: nobody, type: Desk, suspend: \"yes\", checkInterval: 1m}
---
kind: Deployment
---
{apiVersion: hybridcalendar.dev/v1, kind: CalendarTenant}
---
{apiVersion: hybridcalendar.dev/v1alpha1, kind: CalendarTennant}
---
a: b: c
";
    let secret = "
apiVersion: v1
kind: Secret
metadata: {name: credential}
data: {client-secret: hunter2!}
stringData: {number: 7}
";
    let told = problems(&[GOOD, bad_mailbox, secret]);
    for part in [
        "two.yaml:2 (document 1, WorkspaceMailbox Room_A): metadata.name must be a name",
        "unknown field \"metadata.lables\"",
        "unknown field \"spec.adress\"",
        "spec.tenantRef.name: Required value",
        "spec.address must be exactly one e-mail address",
        "spec.type: Unsupported value: \"Desk\": supported values: \"Room\", \"User\"",
        "spec.suspend: Invalid value: must be of type boolean",
        "spec.checkInterval must be a duration such as 90m or 24h, from 5m to 24h",
        "two.yaml:7 (document 2): apiVersion and kind are required",
        "apiVersion \"hybridcalendar.dev/v1\" is not known: use hybridcalendar.dev/v1alpha1",
        "kind \"CalendarTennant\" is not known",
        "two.yaml:13 (document 5): is no YAML",
        "at line 13 column",
        "three.yaml:2 (document 1, Secret credential): is declared before, in one.yaml:10",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    assert!(
        told.starts_with("nothing was checked, 13 problems"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_key_that_is_set_twice_is_told_at_its_line_in_the_file() {
    let told = problems(&[&GOOD
        .replace(
            "spec: {tenantRef: {name: contoso, namespace: default}, address",
            "spec:\n  tenantRef: {name: contoso, namespace: default}\n  address: x\n  address",
        )
        .replace("example}", "example")]);
    assert!(
        told.contains(
            "one.yaml:16 (document 3): spec: the key \"address\" is set a second time, take one of the two out, at line 22 column 3"
        ),
        "{told}"
    );
}

#[test]
fn a_secret_that_cannot_be_read_is_told_without_its_value() {
    let secret = "
apiVersion: v1
kind: Secret
metadata: {name: credential}
data: {client-secret: hunter2!}
stringData: {number: 7}
";
    let told = problems(&[secret]);
    for part in [
        "data.client-secret is not base64: write the value itself under stringData",
        "stringData.number must be of type string: put it in quotes",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn files_of_somebody_else_do_not_steer_the_terminal() {
    let text = "{apiVersion: hybridcalendar.dev/v1alpha1, kind: \"\\e[2J\", metadata: {name: \"\\e[31m\"}}";
    let told = problems(&[text]);
    assert!(!told.contains('\u{1b}'), "{told:?}");
    assert!(told.contains("\u{fffd}[2J"), "{told:?}");
}

#[test]
fn a_mailbox_needs_its_tenant_in_the_files() {
    let (_, mailbox) = GOOD.rsplit_once("---").unwrap();
    let told = problems(&[mailbox]);
    assert!(
        told.contains("spec.tenantRef names CalendarTenant default/contoso, which is in none of the files. Add its file with -f"),
        "{told}"
    );
}

#[test]
fn other_kinds_are_named_and_left_aside() {
    let mut text = GOOD.to_owned();
    let _ = write!(
        text,
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: x}}}}\n"
    );
    let objects = read_all(&[&text]).unwrap();
    assert_eq!(
        objects.left_aside,
        ["one.yaml:21 (document 4, Deployment x) is left aside: Deployment is not checked"]
    );
    let told = problems(&["{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}"]);
    assert!(
        told.contains("with -f; one.yaml:1 (document 1, Deployment x) is left aside"),
        "{told}"
    );
    let told = problems(&["# nothing\n---\n"]);
    assert!(
        told.contains("there is no CalendarTenant and no WorkspaceMailbox"),
        "{told}"
    );
}

#[test]
fn markers_end_documents_only_at_the_margin() {
    let text = "a: |\n  ---\n  x\n--- # next\nb: 1\n...\n\nc: 1\n";
    let found = documents(text);
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 5, 8], "{found:?}");
    assert_eq!(parse(found[0].1).unwrap()["a"], "---\nx\n");
}
