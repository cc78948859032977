//! `helm` and what it renders, for the other modules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use testbed::tools::{self, Tools};

use crate::repository::root;

pub(super) const CHART: &str = "charts/hybrid-calendar-operator";
pub(super) const RELEASE: &str = "hybrid-calendar-operator";

/// The programs, built when they are missing.
pub(super) async fn tools() -> Tools {
    tools::ready().await.unwrap()
}

/// Runs helm without a cluster; files of the repository are named from its root. What it prints, or what it complains
/// about.
pub(super) async fn helm(arguments: &[&str]) -> Result<String, String> {
    let from_root = |word: &&str| {
        let path = root().join(word);
        let found = word.contains('/') && path.exists();
        if found {
            path.to_string_lossy().into_owned()
        } else {
            (*word).to_owned()
        }
    };
    let words: Vec<String> = arguments.iter().map(from_root).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = testbed::helm::offline(&words).await;
    said.map_err(|error| error.to_string())
}

/// What the chart renders in the namespace of the same name, with further arguments such as `--set`.
pub(super) async fn template(arguments: &[&str]) -> Result<String, String> {
    let usual = ["template", RELEASE, CHART, "--namespace", RELEASE];
    helm(&[&usual[..], arguments].concat()).await
}

/// Every value set: its name and its file.
pub(super) fn value_sets() -> Vec<(String, PathBuf)> {
    let found = crate::repository::files("tests/it/packaging/values", &[".yaml"]);
    found
        .into_iter()
        .map(|path| {
            let path = root().join(path);
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, path)
        })
        .collect()
}

/// What the chart renders with a value set.
pub(super) async fn rendered(name: &str) -> String {
    let file = format!("tests/it/packaging/values/{name}.yaml");
    let rendered = template(&["--values", &file]).await;
    rendered.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What helm tells after an installation with a value set.
pub(super) async fn notes(name: &str) -> String {
    let file = format!("tests/it/packaging/values/{name}.yaml");
    let usual = ["install", RELEASE, CHART, "--namespace", RELEASE];
    let arguments = [&usual[..], &["--dry-run=client", "--values", &file]].concat();
    let said = helm(&arguments).await.unwrap();
    said.split_once("NOTES:").unwrap().1.to_owned()
}

/// The objects of a YAML stream.
pub(super) fn objects(yaml: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Option::<Value>::deserialize(document).unwrap())
        .filter_map(|document| document.filter(|value| !value.is_null()))
        .collect()
}

/// An object's kind, namespace and name.
pub(super) type Key = (String, String, String);

/// The objects by what they are.
pub(super) fn by_key(objects: Vec<Value>) -> BTreeMap<Key, Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        (
            text(&object["kind"]),
            text(&metadata["namespace"]),
            text(&metadata["name"]),
        )
    };
    let count = objects.len();
    let found: BTreeMap<Key, Value> = objects.into_iter().map(|o| (key(&o), o)).collect();
    assert_eq!(found.len(), count, "no object is rendered twice");
    found
}

/// The one object of a kind with a name.
pub(super) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}
