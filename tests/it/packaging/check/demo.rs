//! The demo says of each of its objects what to expect: `check` says the same of its files.

use graph_emulator::{Emulator, Options, World};
use serde::Deserialize;
use serde_json::Value;

use super::program::{Files, assert_understood, writes};
use crate::repository::read;

const FILES: [&str; 3] = ["tenants", "mailboxes", "latecomers"];

fn objects() -> Vec<Value> {
    let text = FILES.map(|name| read(&format!("tests/testbed/demo/{name}.yaml")));
    text.iter()
        .flat_map(|text| serde_yaml_ng::Deserializer::from_str(text))
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| !object.is_null())
        .collect()
}

/// Conditions as an annotation lists them, `Ready=False/Conflict, Conflict=True/AddressInUse`.
fn expectations(object: &Value) -> Vec<(String, String)> {
    let annotations = &object["metadata"]["annotations"];
    let text = annotations["demo.hybridcalendar.dev/expect"].as_str();
    let parts = text.unwrap_or_default().split(", ");
    parts
        .filter_map(|part| part.split_once('='))
        .map(|(type_, state)| (type_.to_owned(), state.to_owned()))
        .collect()
}

#[tokio::test]
async fn check_says_of_the_demo_what_the_demo_expects() {
    let world = World::from_yaml(&read("tests/testbed/demo/world.yaml")).unwrap();
    let emulator = Emulator::start(world, Options::default()).await.unwrap();
    let address = emulator.base_url();
    // A tenant that is nowhere is a mistake of the files.
    let objects: Vec<Value> = objects()
        .into_iter()
        .filter(|object| object["metadata"]["name"] != "orphan")
        .collect();
    let files = Files::of(&objects, &address);
    let arguments = ["-o", "json", "-n", "hybrid-calendar-demo"];
    let checked = files
        .check(&[&arguments[..], &["--allowed-endpoint", &address]].concat())
        .await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        for (type_, expected) in expectations(object) {
            compared += 1;
            let state = checked.state(name, &type_);
            if state != expected {
                wrong.push(format!("{name}: {type_}={state} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(compared > 30, "{compared}");
    assert_eq!(writes(&emulator), [""; 0]);
    assert_understood(&emulator);
}
