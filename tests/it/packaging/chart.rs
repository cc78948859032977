//! The Helm chart: what it renders, what it refuses, and that it agrees with the program.

use std::collections::BTreeSet;
use std::process::Command;

use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::helm::{
    CHART, RELEASE, by_key, find, helm, notes, objects, rendered, template, value_sets,
};
use crate::repository::{read, root};

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_yaml_ng::from_str(&read(&format!("{CHART}/Chart.yaml"))).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["kubeVersion"], ">=1.32.0-0");
}

#[tokio::test]
async fn helm_lint_finds_nothing() {
    // Sets that between them render every template.
    let broad = ["locked-down", "monitoring", "load-balancer", "rehearsal"];
    let mut files = value_sets();
    files.retain(|(name, _)| broad.contains(&name.as_str()));
    assert_eq!(files.len(), broad.len());
    let linted = files.iter().map(async |(name, file)| {
        let arguments = [
            "lint",
            "--strict",
            CHART,
            "--values",
            file.to_str().unwrap(),
        ];
        helm(&arguments)
            .await
            .map_err(|error| format!("{name}: {error}"))
    });
    for outcome in join_all(linted).await {
        outcome.unwrap();
    }
}

#[derive(Deserialize)]
struct Refusal {
    case: String,
    values: Value,
    says: Vec<String>,
}

#[tokio::test]
async fn wrong_values_are_refused_by_name() {
    let cases: Vec<Refusal> =
        serde_yaml_ng::from_str(&read("tests/it/packaging/refused-values.yaml")).unwrap();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let folder = tempfile::tempdir().unwrap();
    let tried = cases.iter().enumerate().map(async |(number, case)| {
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, case.values.to_string()).unwrap();
        let Err(message) = template(&["--values", file.to_str().unwrap()]).await else {
            return Some(format!("{}: was accepted", case.case));
        };
        let missing: Vec<&String> = case.says.iter().filter(|s| !message.contains(*s)).collect();
        (!missing.is_empty()).then(|| format!("{}: no {missing:?} in: {message}", case.case))
    });
    let problems: Vec<String> = join_all(tried).await.into_iter().flatten().collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Roles and bindings by what they are, without what Helm adds to their metadata.
fn access(objects: Vec<Value>) -> Vec<Value> {
    let kinds = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    let ours = objects.into_iter().filter(|object| {
        let component = &object["metadata"]["labels"]["app.kubernetes.io/component"];
        kinds.iter().any(|kind| object["kind"] == *kind) && *component != "access"
    });
    let plain = by_key(ours.collect()).into_values().map(|mut object| {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, _| key == "name" || key == "namespace");
        if let Some(subjects) = object["subjects"].as_array_mut() {
            for subject in subjects {
                assert_eq!(subject["kind"], "ServiceAccount");
            }
        }
        object
    });
    plain.collect()
}

#[tokio::test]
async fn the_roles_are_those_that_the_program_prints() {
    let program = env!("CARGO_BIN_EXE_hybrid-calendar-operator");
    let everywhere = "--workload-identity-namespace=*";
    let cases: [(&str, &[&str]); 5] = [
        ("default", &[]),
        (
            "namespaced",
            &[
                "--namespace=rooms,offices",
                "--workload-identity-namespace=rooms",
            ],
        ),
        ("workload-identity-everywhere", &[everywhere]),
        ("without-election", &["--leader-elect=false"]),
        (
            "everything-set",
            &[
                "--service-account=hybrid-calendar-operator/reader",
                "--namespace=rooms",
                "--lease-namespace=leases",
                "--lease-name=leader",
                "--key-secret=keys/signing",
                everywhere,
            ],
        ),
    ];
    for (set, arguments) in cases {
        let printed = Command::new(program)
            .arg("rbac")
            .args(arguments)
            .output()
            .unwrap();
        assert!(printed.status.success(), "{printed:?}");
        // The chart's roles have the name of the release, also where the ServiceAccount has another.
        let printed = String::from_utf8(printed.stdout).unwrap();
        let printed = access(objects(&printed.replace("name: reader", "name: calendars")));
        let rendered = rendered(set)
            .await
            .replace("name: reader", "name: calendars");
        assert_eq!(access(objects(&rendered)), printed, "{set}");
    }
}

#[tokio::test]
async fn programs_listen_on_every_address_unless_one_is_named() {
    for (set, receiver, metrics) in [
        ("default", "[::]:8443", "[::]:9090"),
        ("without-election", "0.0.0.0:8443", "0.0.0.0:9090"),
        ("everything-set", "[::1]:9443", "[::1]:9191"),
    ] {
        let rendered = rendered(set).await;
        for (variable, address) in [("RECEIVER", receiver), ("ADMIN", metrics)] {
            let said = format!(
                "name: HYBRID_CALENDAR_{variable}_LISTEN\n          value: \"{address}\"\n"
            );
            assert!(rendered.contains(&said), "{set}: no {said}");
        }
    }
    let rehearsal = rendered("rehearsal").await;
    assert!(rehearsal.contains("--listen=[::]:8600\n"));
}

#[tokio::test]
async fn openshift_chooses_the_ids_and_is_asked_for_names_on_its_own_port() {
    let rendered = objects(&rendered("openshift").await);
    let pod = &find(&rendered, "Deployment", RELEASE)["spec"]["template"]["spec"];
    let expected = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(pod["securityContext"], expected);
    let egress = &find(&rendered, "NetworkPolicy", RELEASE)["spec"]["egress"];
    let ports = json!([{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]);
    assert_eq!(egress[0]["ports"], ports);
}

/// Names of the variables of the operator's container.
fn variables(objects: &[Value], deployment: &str) -> BTreeSet<String> {
    let deployment = find(objects, "Deployment", deployment);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let names = container["env"].as_array().unwrap().iter();
    names
        .map(|variable| variable["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_flag_of_run_has_a_value() {
    let set = variables(&objects(&rendered("everything-set").await), "calendars");
    let reference = read("docs/reference/flags.md");
    // Those of `run`, which is what the Pod runs.
    let (_, run) = reference.split_once(" run`\n").unwrap();
    let run = run.split("\n## ").next().unwrap();
    let flags: BTreeSet<String> = run
        .split('`')
        .filter(|word| word.starts_with("HYBRID_CALENDAR_"))
        .map(str::to_owned)
        .collect();
    assert!(flags.len() > 10, "{flags:?}");
    let missing: Vec<&String> = flags.difference(&set).collect();
    // Rehearsals at another pace are for an emulator on loopback: inside of the Pod there is none.
    assert_eq!(missing, ["HYBRID_CALENDAR_REHEARSAL_PACE"]);
}

#[tokio::test]
async fn runbooks_are_where_the_values_say() {
    let rendered = objects(&rendered("monitoring").await);
    let rules = find(&rendered, "PrometheusRule", RELEASE).to_string();
    assert!(rules.contains("\"runbook_url\":\"https://runbooks.example/calendar/"));
    assert!(!rules.contains("/docs/runbooks/"), "{rules}");
    let usual =
        template(&["--set=notificationUrl=https://calendar.example,metrics.rules.enabled=true"]);
    let usual = usual.await.unwrap();
    let default =
        "https://github.com/hybridcalendar/hybrid-calendar-operator/blob/main/docs/runbooks/";
    assert!(usual.contains(default));
}

#[tokio::test]
async fn the_receiver_is_published_below_the_path_of_the_url() {
    for (set, kind, pointer) in [
        ("ingress", "Ingress", "/spec/rules/0/http/paths"),
        ("gateway-api", "HTTPRoute", "/spec/rules/0/matches"),
    ] {
        let rendered = objects(&rendered(set).await);
        let published = find(&rendered, kind, RELEASE);
        let paths = published.pointer(pointer).unwrap().to_string();
        for path in ["\"/hooks/v1/notifications\"", "\"/hooks/v1/lifecycle\""] {
            assert!(paths.contains(path), "{set}: {paths}");
        }
        assert!(
            published["spec"]
                .to_string()
                .contains("\"calendar.example\"")
        );
    }
}

#[tokio::test]
async fn the_notes_tell_the_next_step() {
    let (plain, rehearsal) = (notes("default").await, notes("rehearsal").await);
    for part in [
        "rollout status deployment/hybrid-calendar-operator",
        "must reach https://calendar.example",
        "Nothing of this release publishes it",
    ] {
        assert!(plain.contains(part), "no {part:?} in {plain}");
    }
    assert!(rehearsal.contains("kind: WorkspaceMailbox"), "{rehearsal}");
    assert!(!notes("ingress").await.contains("Nothing of this release"));
}

/// What a rule of a NetworkPolicy names at this side, if it lets anything to the port.
fn peers<'a>(policy: &'a Value, direction: &str, side: &str, port: &str) -> Vec<&'a Value> {
    let rules = policy["spec"][direction].as_array().unwrap().iter();
    rules
        .filter(|rule| rule["ports"][0]["port"] == port)
        .map(|rule| &rule[side])
        .collect()
}

#[tokio::test]
async fn copies_reach_each_other_and_nobody_else_does() {
    let objects = objects(&rendered("locked-down").await);
    let deployment = find(&objects, "Deployment", RELEASE);
    let labels = &deployment["spec"]["selector"]["matchLabels"];
    let policy = find(&objects, "NetworkPolicy", RELEASE);
    let ours = json!([{"podSelector": {"matchLabels": labels}}]);
    assert_eq!(peers(policy, "ingress", "from", "copies"), [&ours]);
    assert_eq!(peers(policy, "egress", "to", "copies"), [&ours]);
    for service in objects.iter().filter(|object| object["kind"] == "Service") {
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(["receiver", "metrics"].contains(&port["targetPort"].as_str().unwrap()));
        }
    }
}

#[test]
fn no_registry_is_named() {
    let values = read(&format!("{CHART}/values.yaml"));
    let values: Value = serde_yaml_ng::from_str(&values).unwrap();
    for image in [&values["image"], &values["emulator"]["image"]] {
        assert_eq!(image["registry"], "");
    }
    assert!(root().join(CHART).join("README.md").is_file());
}
