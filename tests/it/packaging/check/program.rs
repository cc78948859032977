//! Running the program, and an organization to run it against.

use std::process::Stdio;

use graph_emulator::{Emulator, FaultRule, Faults, Operation, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::objects::condition;
use tokio::process::{Child, Command};

use crate::behaviour::scene::{self, contoso, world};

/// The organization of the behaviour tests with a mailbox of each kind of trouble.
pub(in crate::packaging) fn organization() -> Value {
    let mut organization = contoso();
    let tenant = &mut organization["tenants"][0];
    tenant["mailboxes"] = json!([
        {"address": "room-a@contoso.example", "type": "room", "displayName": "Room A",
         "aliases": ["a@contoso.example"]},
        {"address": "room-b@contoso.example", "type": "room", "displayName": "Room B"},
        {"address": "ada@contoso.example", "type": "user", "userPrincipalName": "ada.l@contoso.example"},
        {"address": "ceo@contoso.example", "type": "user"},
        {"address": "hidden@contoso.example", "type": "room", "listed": false},
        {"address": "legacy@contoso.example", "type": "room", "location": "onPremises"},
        {"address": "guest@contoso.example", "type": "user", "guest": true},
    ]);
    tenant["applications"][0]["denied"] = json!(["ceo@contoso.example"]);
    organization
}

/// The same with an application that may write events.
pub(super) fn writing_organization() -> Value {
    let mut organization = organization();
    let roles = &mut organization["tenants"][0]["applications"][0]["roles"];
    let roles = roles.as_array_mut().unwrap();
    roles.push(json!("Calendars.ReadWrite"));
    organization
}

pub(super) async fn start(organization: &Value) -> Emulator {
    Emulator::start(world(organization), Options::default())
        .await
        .unwrap()
}

/// How a run ended.
#[derive(Debug)]
pub(in crate::packaging) struct Checked {
    pub(in crate::packaging) code: Option<i32>,
    pub(in crate::packaging) out: String,
    pub(in crate::packaging) err: String,
}

impl Checked {
    /// The object of this name in `-o json`.
    pub(in crate::packaging) fn object(&self, name: &str) -> Value {
        let list: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let items = list["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["metadata"]["name"] == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {list:#}"))
            .clone()
    }

    /// A condition of an object as `Status/Reason`.
    pub(super) fn state(&self, name: &str, type_: &str) -> String {
        let object = self.object(name);
        let found = condition(&object, type_).unwrap_or(&Value::Null);
        format!("{}/{}", found["status"], found["reason"]).replace('"', "")
    }
}

/// A folder with files to check.
pub(in crate::packaging) struct Files(TempDir);

impl Files {
    /// One file, `objects.yaml`, in which `${EMULATOR}` is this address.
    pub(in crate::packaging) fn of(objects: &[Value], address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let text = documents.join("\n---\n").replace("${EMULATOR}", address);
        std::fs::write(folder.path().join("objects.yaml"), text).unwrap();
        Self(folder)
    }

    pub(super) fn add(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `check -f objects.yaml` with these arguments, in an environment of its own.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hybrid-calendar-operator"));
        command
            .args(["check", "-f", "objects.yaml"])
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(in crate::packaging) async fn check(&self, arguments: &[&str]) -> Checked {
        ended(self.command(arguments).spawn().unwrap()).await
    }
}

pub(super) async fn ended(child: Child) -> Checked {
    let output = child.wait_with_output().await.unwrap();
    Checked {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `check` of these objects against an emulator, which may be called.
pub(super) async fn check(emulator: &Emulator, objects: &[Value], arguments: &[&str]) -> Checked {
    let address = emulator.base_url();
    let files = Files::of(objects, &address);
    let allowed = ["--allowed-endpoint", &address];
    files.check(&[&allowed, arguments].concat()).await
}

/// Calls that change something, by the journal. It holds every part of a batch by itself, unless the batch was refused:
/// then nobody knows what was in it.
pub(super) fn writes(emulator: &Emulator) -> Vec<String> {
    let journal = emulator.journal(0);
    let writes = journal.iter().filter(|entry| {
        let envelope = entry.operation == Operation::Batch.to_string() && entry.status == 200;
        entry.method != "GET" && entry.operation != "token" && !envelope
    });
    writes.map(|entry| entry.operation.clone()).collect()
}

/// Every request was one that Graph knows.
pub(super) fn assert_understood(emulator: &Emulator) {
    let strange: Vec<_> = emulator
        .journal(0)
        .into_iter()
        .filter(|entry| entry.status == 501)
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// A user of the tenant `contoso`.
pub(in crate::packaging) fn user(name: &str, address: &str) -> Value {
    let type_ = json!({"spec": {"type": "User"}});
    scene::with(scene::room(name, address), type_)
}

#[tokio::test]
async fn a_write_in_a_batch_is_a_write_and_a_read_in_one_is_none() {
    let emulator = start(&organization()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = emulator.base_url();
    let base = base.trim_end_matches('/');
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", scene::CLIENT),
        ("client_secret", scene::SECRET),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let url = format!("{base}/{}/oauth2/v2.0/token", scene::TENANT);
    let answer = client.post(url).form(&form).send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    let batch = async |method: &str, path: &str| {
        let parts = json!({"requests": [
            {"id": "1", "method": "GET", "url": "/users/room-a@contoso.example/calendar"},
            {"id": "2", "method": method, "url": path},
        ]});
        let request = client.post(format!("{base}/v1.0/$batch")).json(&parts);
        let token = token["access_token"].as_str().unwrap();
        request.bearer_auth(token).send().await.unwrap();
    };
    batch("GET", "/users/room-b@contoso.example/calendar").await;
    assert_eq!(writes(&emulator), [""; 0]);
    batch(
        "DELETE",
        "/subscriptions/5f1d7a9c-9999-4000-8000-000000000009",
    )
    .await;
    assert_eq!(writes(&emulator), ["deleteSubscription"]);
    // What is in one that is refused is not known.
    emulator.set_faults(Faults {
        rules: vec![FaultRule {
            operation: Operation::Batch,
            status: Some(503),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
    batch("GET", "/users/room-b@contoso.example/calendar").await;
    assert_eq!(writes(&emulator).last().unwrap(), "batch");
}
