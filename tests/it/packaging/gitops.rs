//! What Argo CD makes of real statuses, by the script that it is given: the same as kstatus, by which Flux and Helm go.

use std::time::Duration;

use graph_emulator::World;
use mlua::{Lua, Table};
use serde_json::{Value, json};
use testbed::objects::{Kind, condition};
use testbed::testbed::Testbed;

use crate::repository::read;

const DEADLINE: Duration = Duration::from_mins(1);
const WORLD: &str = include_str!("../../testbed/demo/world.yaml");

/// Status and message, as Argo CD runs the script: `obj` is the object, the answer is a table.
fn health(object: &Value) -> (String, String) {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set("obj", as_lua(&lua, object)).unwrap();
    let script = read("config/argocd/health.lua");
    let answer: Table = lua.load(script).eval().unwrap();
    (
        answer.get("status").unwrap(),
        answer.get("message").unwrap(),
    )
}

fn as_lua(lua: &Lua, value: &Value) -> mlua::Value {
    match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(value) => mlua::Value::Boolean(*value),
        Value::Number(value) => mlua::Value::Number(value.as_f64().unwrap()),
        Value::String(value) => mlua::Value::String(lua.create_string(value).unwrap()),
        Value::Array(items) => {
            let items = items.iter().map(|item| as_lua(lua, item));
            mlua::Value::Table(lua.create_sequence_from(items).unwrap())
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.as_str(), as_lua(lua, value)));
            mlua::Value::Table(lua.create_table_from(fields).unwrap())
        }
    }
}

/// What kstatus makes of it, in Argo CD's words.
fn kstatus(object: &Value) -> &'static str {
    let is_true = |type_| condition(object, type_).is_some_and(|c| c["status"] == "True");
    let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    match (current, is_true("Stalled"), is_true("Ready")) {
        (true, true, _) => "Degraded",
        (true, false, true) => "Healthy",
        (true | false, _, _) => "Progressing",
    }
}

fn room(name: &str, address: &str, more: &Value) -> Value {
    let mut room = json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "WorkspaceMailbox",
        "metadata": {"name": name},
        "spec": {"tenantRef": {"name": "contoso"}, "address": address},
    });
    for (field, value) in more.as_object().unwrap() {
        room["spec"][field] = value.clone();
    }
    room
}

/// The first tenant of the demo, with one room for each health.
fn objects() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "credential", "labels": {"hybridcalendar.dev/credential": "true"}},
            "stringData": {"client-secret": "contoso-demo-secret"},
        }),
        json!({
            "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "CalendarTenant",
            "metadata": {"name": "contoso"},
            "spec": {
                "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
                "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
                "endpoints": {"login": "${EMULATOR}", "graph": "${EMULATOR}"},
                "credential": {"clientSecret": {"secretRef": {"name": "credential"}}},
            },
        }),
        room("works", "room-a@contoso.example", &json!({})),
        room("alias", "c@contoso.example", &json!({})),
        room("typing-error", "rooom-b@contoso.example", &json!({})),
        room("rests", "room-e@contoso.example", &json!({"suspend": true})),
    ]
}

#[tokio::test]
async fn argo_cd_sees_real_objects_as_healthy_progressing_degraded_or_suspended() {
    let world = World::from_yaml(WORLD).unwrap();
    let bed = Testbed::start(world).await.unwrap();
    let documents: Vec<String> = objects().iter().map(Value::to_string).collect();
    bed.apply(&documents.join("\n---\n")).await.unwrap();

    let expected = [
        (Kind::Tenant, "contoso", "Ready=True/Operational", "Healthy"),
        (Kind::Mailbox, "works", "Ready=True/Activated", "Healthy"),
        (
            Kind::Mailbox,
            "alias",
            "Ready=False/AddressMismatch",
            "Degraded",
        ),
        (
            // It is called stalled after ten minutes: a new mailbox takes some to appear.
            Kind::Mailbox,
            "typing-error",
            "Ready=False/MailboxNotFound",
            "Progressing",
        ),
        (
            Kind::Mailbox,
            "rests",
            "Ready=Unknown/Suspended",
            "Suspended",
        ),
    ];
    for (kind, name, ready, wanted) in expected {
        let object = bed.wait_condition(kind, name, ready, DEADLINE).await;
        let mut object = object.unwrap();
        let (status, message) = health(&object);
        assert_eq!(status, wanted, "{object:#}");
        assert!(!message.is_empty(), "{object:#}");
        if wanted != "Suspended" {
            assert_eq!(status, kstatus(&object), "{object:#}");
        }
        // A spec that nobody has looked at yet.
        let generation = object["metadata"]["generation"].as_i64().unwrap();
        object["metadata"]["generation"] = json!(generation + 1);
        assert_eq!(health(&object).0, "Progressing", "{object:#}");
        // What the API server makes of a new object.
        object["status"] = json!({"observedGeneration": -1});
        assert_eq!(health(&object).0, "Progressing", "{object:#}");
    }
}

#[test]
fn the_patch_for_argo_cd_holds_the_script_for_both_kinds() {
    let patch: Value = serde_yaml_ng::from_str(&read("config/argocd/argocd-cm.yaml")).unwrap();
    let script = read("config/argocd/health.lua");
    let data = patch["data"].as_object().unwrap();
    assert_eq!(data.len(), 2);
    for kind in ["CalendarTenant", "WorkspaceMailbox"] {
        let name = format!("resource.customizations.health.hybridcalendar.dev_{kind}");
        assert_eq!(data[&name], script.as_str(), "{name}");
    }
}
