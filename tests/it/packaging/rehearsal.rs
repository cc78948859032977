//! The rehearsal that the chart offers: its certificates, its world and what its notes tell people to apply work together.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graph_emulator::{Options, World};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::objects::Kind;
use testbed::ports;
use testbed::testbed::{Testbed, start_emulator_with};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::helm::{CHART, RELEASE, find, helm, notes, objects, rendered};
use crate::behaviour::scene::DEADLINE;

/// Writes a Secret's files where a Pod would find them.
fn mount(objects: &[Value], secret: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let files = find(objects, "Secret", secret)["data"].as_object().unwrap();
    for (name, content) in files {
        let content = STANDARD.decode(content.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
    }
}

/// The tenant and the room of the notes, for an emulator elsewhere.
async fn offered() -> String {
    let notes = notes("rehearsal").await;
    let (_, yaml) = notes.split_once("<<YAML\n").unwrap();
    // Where a shell sees the end of it.
    let (yaml, _) = yaml.split_once("\nYAML\n").unwrap();
    let service = "https://hybrid-calendar-operator-emulator.hybrid-calendar-operator.svc:8600";
    assert_eq!(yaml.matches(service).count(), 2, "{yaml}");
    yaml.replace(service, "${EMULATOR}")
}

#[tokio::test]
async fn what_the_notes_of_a_rehearsal_say_works_with_what_the_chart_installs() {
    let objects = objects(&rendered("rehearsal").await);
    let folder = tempfile::tempdir().unwrap();
    let (emulator, receiver) = (
        folder.path().join("emulator"),
        folder.path().join("receiver"),
    );
    mount(&objects, "hybrid-calendar-operator-emulator-tls", &emulator);
    mount(&objects, "hybrid-calendar-operator-receiver-tls", &receiver);
    let world = find(
        &objects,
        "ConfigMap",
        "hybrid-calendar-operator-emulator-world",
    );
    let world = World::from_yaml(world["data"]["world.yaml"].as_str().unwrap()).unwrap();
    let options = Options {
        tls_dir: Some(emulator.clone()),
        trust_ca: Some(emulator.join("ca.crt")),
        ..Options::default()
    };
    let emulated = start_emulator_with(world, options).await.unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    let bed = Testbed::start_against(emulated, |operator| {
        operator.receiver_listen = Some(listen);
        operator.notification_url = Some(format!("https://localhost:{}", listen.port()));
        let file = emulator.join("ca.crt");
        operator.arguments = vec![
            format!("--ca-file={}", file.display()),
            format!("--receiver-tls-dir={}", receiver.display()),
        ];
    })
    .await
    .unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "rehearsal", "labels": {"hybridcalendar.dev/credential": "true"}},
        "stringData": {"client-secret": "demo-secret"},
    });
    bed.apply(&format!("{secret}\n---\n{}", offered().await))
        .await
        .unwrap();
    let ready = bed.wait_condition(Kind::Mailbox, "room-a", "Ready=True/Activated", DEADLINE);
    ready.await.unwrap();
}

#[tokio::test]
async fn the_emulator_starts_with_the_arguments_of_the_chart() {
    let objects = objects(&rendered("rehearsal").await);
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{RELEASE}-emulator");
    mount(&objects, &format!("{name}-tls"), &folder.path().join("tls"));
    let world = find(&objects, "ConfigMap", &format!("{name}-world"));
    let world = world["data"]["world.yaml"].as_str().unwrap();
    std::fs::create_dir(folder.path().join("world")).unwrap();
    std::fs::write(folder.path().join("world/world.yaml"), world).unwrap();
    let pod = &find(&objects, "Deployment", &name)["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap().iter();
    let here = folder.path().to_str().unwrap();
    let arguments = arguments.map(|argument| {
        let argument = argument
            .as_str()
            .unwrap()
            .replace("/etc/graph-emulator", here);
        // Any port of this machine's.
        let elsewhere = argument.replace("=[::]:8600", "=[::]:0");
        elsewhere.replace("=[::]:8601", "=[::]:0")
    });
    let program = testbed::programs::path("graph-emulator").await.unwrap();
    let mut emulator = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(emulator.stdout.take().unwrap()).lines();
    let graph = said.next_line().await.unwrap();
    assert!(graph.is_some_and(|line| line.starts_with("graph=https://")));
    let admin = said.next_line().await.unwrap();
    assert!(admin.is_some_and(|line| line.starts_with("admin=http://")));
}

#[tokio::test]
async fn the_certificates_of_a_rehearsal_outlive_an_upgrade() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    let kubeconfig = control_plane.kubeconfig().to_str().unwrap();
    let secrets = async || {
        let usual = ["template", RELEASE, CHART, "--namespace", &namespace];
        let here = [
            "--set=emulator.enabled=true",
            "--dry-run=server",
            // Leaves out the question whose objects these are.
            "--is-upgrade",
            "--kubeconfig",
        ];
        let rendered = helm(&[&usual[..], &here, &[kubeconfig]].concat()).await;
        let mut secrets = objects(&rendered.unwrap());
        secrets.retain(|object| object["kind"] == "Secret");
        secrets
    };
    let first = secrets().await;
    assert_eq!(first.len(), 2);
    assert_ne!(secrets().await, first, "nothing is there yet");
    for secret in &first {
        control_plane
            .apply(&namespace, &secret.to_string())
            .await
            .unwrap();
    }
    assert_eq!(secrets().await, first);
}
