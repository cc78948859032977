//! Running the program, and an organization to run it against.

use std::process::Stdio;

use graph_emulator::{Emulator, Options};
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

/// Calls that change something, by the journal.
pub(super) fn writes(emulator: &Emulator) -> Vec<String> {
    let journal = emulator.journal(0);
    let writes = journal
        .iter()
        .filter(|entry| entry.method != "GET" && entry.operation != "token");
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
