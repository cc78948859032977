//! Kustomize renders what the chart renders. `config/default` and the components' objects are made from the chart;
//! patches and overlays are written by hand and compared with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::future::join_all;
use serde_json::Value;
use testbed::assets;
use tokio::process::Command;

use super::helm::{Key, by_key, objects, template};
use crate::repository::{assert_generated, files, root};

const HEADER: &str = "# Generated from the Helm chart by `make generate`. Do not edit.\n";
const URL: &str = "HYBRID_CALENDAR_NOTIFICATION_URL";

/// Which objects of the default rendering are in which file of `config/default`.
const FILES: &[(&str, &[&str])] = &[
    ("definitions", &["CustomResourceDefinition"]),
    (
        "access",
        &[
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
        ],
    ),
    (
        "operator",
        &["Deployment", "Service", "PodDisruptionBudget"],
    ),
    (
        "admission",
        &[
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
    ),
];

/// Without what only Helm reads.
fn plain(mut object: Value) -> Value {
    for (field, ours) in [
        (
            "labels",
            &["helm.sh/chart", "app.kubernetes.io/managed-by"][..],
        ),
        ("annotations", &["helm.sh/resource-policy"][..]),
    ] {
        if let Some(metadata) = object["metadata"].as_object_mut()
            && let Some(Value::Object(entries)) = metadata.get_mut(field)
        {
            entries.retain(|key, _| !ours.contains(&key.as_str()));
            if entries.is_empty() {
                metadata.remove(field);
            }
        }
    }
    object
}

/// What the chart renders with the values for an overlay.
async fn of_the_chart(overlay: &str) -> BTreeMap<Key, Value> {
    let values = format!("tests/it/packaging/kustomize/{overlay}.yaml");
    let rendered = template(&["--values", &values]).await.unwrap();
    by_key(objects(&rendered).into_iter().map(plain).collect())
}

/// What kustomize renders for a folder of `config`.
async fn of_kustomize(folder: &str) -> BTreeMap<Key, Value> {
    let output = Command::new(assets::ready().await.unwrap().kubectl)
        .args(["kustomize", &format!("config/{folder}")])
        .current_dir(root())
        .output()
        .await
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder}: {complaints}");
    let rendered = String::from_utf8(output.stdout).unwrap();
    let mut found = by_key(objects(&rendered));
    found.retain(|(kind, _, _), _| kind != "Namespace");
    found
}

fn stream<'a>(objects: impl Iterator<Item = &'a Value>) -> String {
    let mut text = HEADER.to_owned();
    for object in objects {
        write!(text, "---\n{}", serde_yaml_ng::to_string(object).unwrap()).unwrap();
    }
    text
}

/// The default rendering, without the URL, which is nobody's but the user's.
async fn without_url() -> BTreeMap<Key, Value> {
    let mut objects = of_the_chart("default").await;
    for object in objects.values_mut() {
        let container = object.pointer_mut("/spec/template/spec/containers/0/env");
        for variable in container
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if variable["name"] == URL {
                variable["value"] = "".into();
            }
        }
    }
    objects
}

#[tokio::test]
async fn the_generated_files_of_kustomize_are_what_the_chart_renders() {
    let default = without_url().await;
    for (file, kinds) in FILES {
        let chosen = default
            .iter()
            .filter(|((kind, _, _), _)| kinds.contains(&kind.as_str()));
        let content = stream(chosen.map(|(_, object)| object));
        assert_generated(&format!("config/default/{file}.yaml"), &content);
    }
    let placed: Vec<&str> = FILES
        .iter()
        .flat_map(|(_, kinds)| kinds.iter().copied())
        .collect();
    for (kind, _, name) in default.keys() {
        assert!(
            placed.contains(&kind.as_str()),
            "{kind} {name} is in no file"
        );
    }
    for component in components() {
        let with = of_the_chart(&component).await;
        let added = with.iter().filter(|(key, _)| !default.contains_key(*key));
        let content = stream(added.map(|(_, object)| object));
        assert_generated(
            &format!("config/components/{component}/objects.yaml"),
            &content,
        );
    }
}

fn components() -> Vec<String> {
    names("config/components")
}

fn names(folder: &str) -> Vec<String> {
    let found = files(folder, &["/kustomization.yaml"]);
    let name = |path: &String| path.split('/').nth(2).map(str::to_owned);
    found.iter().filter_map(name).collect()
}

/// With lists that kustomize may order in its own way in one order.
fn ordered(mut object: Value) -> Value {
    for list in ["containers/0/env", "containers/0/volumeMounts", "volumes"] {
        if let Some(Value::Array(entries)) =
            object.pointer_mut(&format!("/spec/template/spec/{list}"))
        {
            entries.sort_by_key(|entry| entry["name"].to_string());
        }
    }
    object
}

#[tokio::test]
async fn every_overlay_renders_what_the_chart_renders() {
    let overlays = names("config/overlays");
    assert!(overlays.len() >= 6, "{overlays:?}");
    for component in components() {
        assert!(
            overlays.contains(&component),
            "no overlay shows {component}"
        );
    }
    let compared = overlays.iter().map(async |overlay| {
        let folder = format!("overlays/{overlay}");
        let (chart, kustomize) = tokio::join!(of_the_chart(overlay), of_kustomize(&folder));
        let keys = |objects: &BTreeMap<Key, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&chart), keys(&kustomize), "{overlay}");
        for (key, object) in chart {
            let (expected, found) = (ordered(object), ordered(kustomize[&key].clone()));
            assert_eq!(expected, found, "{overlay}: {key:?}");
        }
    });
    join_all(compared).await;
    let default = without_url().await;
    assert_eq!(of_kustomize("default").await, default);
}
