//! Every value set as those see it who check manifests: kubeconform with strict schemas, the API server itself, and its
//! Pod Security admission.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::cluster::{Rehearsal, prepared};
use super::helm::{objects, rendered, tools, value_sets};
use super::schemas;

/// Every value set with its rendered objects.
async fn all() -> &'static [(String, Vec<Value>)] {
    static ALL: OnceCell<Vec<(String, Vec<Value>)>> = OnceCell::const_new();
    ALL.get_or_init(async || {
        let rendered = value_sets().into_iter().map(async |(name, _)| {
            let objects = objects(&rendered(&name).await);
            (name, objects)
        });
        let all = join_all(rendered).await;
        assert!(all.len() >= 10, "{} value sets", all.len());
        all
    })
    .await
}

/// What kubeconform says about files in a folder, by schemas in the same folder.
async fn kubeconform(folder: &std::path::Path) -> (bool, String) {
    let manifests = folder.join("manifests");
    let location = folder.join(schemas::LOCATION);
    let output = Command::new(tools().await.kubeconform)
        .args(["-strict", "-summary", "-output", "json", "-schema-location"])
        .args([&location, &manifests])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{said}{complaints}"))
}

#[tokio::test]
async fn every_value_set_renders_what_strict_schemas_accept() {
    let control_plane = prepared().await;
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let (mut versions, mut count) = (BTreeSet::new(), 0);
    for (name, objects) in all().await {
        for (number, object) in objects.iter().enumerate() {
            versions.insert(object["apiVersion"].as_str().unwrap().to_owned());
            let file = manifests.join(format!("{name}-{number}.json"));
            std::fs::write(file, object.to_string()).unwrap();
            count += 1;
        }
    }
    let client = control_plane.admin().await.unwrap();
    schemas::write(&client, &versions, folder.path()).await;
    let (valid, said) = kubeconform(folder.path()).await;
    assert!(valid, "{said}");
    let summary: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(summary["summary"]["valid"], count, "{said}");

    // The schemas are as strict as they should be.
    for file in std::fs::read_dir(&manifests).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let wrong = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}),
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "a"},
            "spec": {"selector": {}, "endpoints": [{"prot": "metrics"}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a", "imge": "x"}]}}}}),
    ];
    for (number, object) in wrong.iter().enumerate() {
        std::fs::write(manifests.join(format!("{number}.json")), object.to_string()).unwrap();
    }
    let (valid, said) = kubeconform(folder.path()).await;
    assert!(!valid);
    for field in ["prots", "prot", "imge"] {
        assert!(
            said.contains(&format!("'{field}' not allowed")),
            "{field}: {said}"
        );
    }
}

#[tokio::test]
async fn the_api_server_accepts_every_object_of_every_value_set() {
    let control_plane = prepared().await;
    let mut rehearsal = Rehearsal::new(control_plane.admin().await.unwrap());
    let (mut asked, mut problems) = (BTreeSet::new(), Vec::new());
    for (name, objects) in all().await {
        for object in objects {
            if asked.insert(object.to_string())
                && let Err(error) = rehearsal.apply(object).await
            {
                problems.push(format!(
                    "{name}: {} {}: {error}",
                    object["kind"], object["metadata"]["name"]
                ));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Asks for a Pod of a Deployment in a namespace that admits only the restricted standard.
async fn restricted(control_plane: &ControlPlane, deployment: &Value) -> Result<(), String> {
    let namespace = "restricted-pods";
    let yaml = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "any"}},
    ]);
    for object in yaml.as_array().unwrap() {
        control_plane
            .apply(namespace, &object.to_string())
            .await
            .unwrap();
    }
    let mut spec = deployment["spec"]["template"]["spec"].clone();
    spec["serviceAccountName"] = "any".into();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "probe", "namespace": namespace}, "spec": spec,
    });
    Rehearsal::new(control_plane.admin().await.unwrap())
        .apply(&pod)
        .await
}

#[tokio::test]
async fn every_pod_meets_the_restricted_standard() {
    let control_plane = prepared().await;
    let mut tried = BTreeSet::new();
    for (name, objects) in all().await {
        for deployment in objects
            .iter()
            .filter(|object| object["kind"] == "Deployment")
        {
            let title = &deployment["metadata"]["name"];
            let admitted = restricted(control_plane, deployment).await;
            admitted.unwrap_or_else(|error| panic!("{name}: {title}: {error}"));
            tried.insert(title.to_string());
            let mut careless = deployment.clone();
            careless["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] =
                true.into();
            if tried.len() == 1 {
                let refused = restricted(control_plane, &careless).await.unwrap_err();
                assert!(refused.contains("violates PodSecurity"), "{refused}");
            }
        }
    }
    assert!(
        tried.iter().any(|name| name.contains("emulator")),
        "{tried:?}"
    );
}
