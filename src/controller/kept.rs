//! What a mailbox takes in this process's memory: the store, the indexes and the queue.

use allocation_counter::measure;
use serde_json::{Value, json};

use super::objects::StoredMailbox;
use super::stage::{Stage, tenant};
use crate::api::vocabulary::conditions_of;
use crate::ids::Kind;

const MAILBOXES: u32 = 2_000;

/// More than this per mailbox would be 16 MiB for 10,000. One whose conditions changed in a second in which those of no other
/// did takes a kilobyte more.
const MOST: i64 = 1_650;

/// A healthy mailbox as a server with its bookkeeping returns it, after its first validation.
fn healthy(number: u32) -> Vec<u8> {
    let passed = conditions_of(Kind::WorkspaceMailbox).iter().map(|meta| {
        json!({
            "type": meta.type_.as_str(), "status": "False", "reason": "Passed", "message": "",
            "observedGeneration": 1, "lastTransitionTime": "2026-11-24T07:30:00Z",
        })
    });
    let works = "The mailbox works and its calendar is being watched.";
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Activated", "message": works,
        "observedGeneration": 1, "lastTransitionTime": "2026-11-24T07:30:00Z",
    });
    let conditions: Vec<Value> = std::iter::once(ready).chain(passed).collect();
    let id = |kind: u32| format!("5f1d7a9c-{kind:04}-4000-8000-{number:012}");
    let address = format!("room-{number:05}@contoso.example");
    let object = json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1",
        "kind": "WorkspaceMailbox",
        "metadata": {
            "name": format!("room-{number:05}"), "namespace": "calendars", "uid": id(1),
            "generation": 1, "resourceVersion": "4200042", "creationTimestamp": "2026-11-24T07:00:00Z",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(400)},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:address": {}}}}],
        },
        "spec": {
            "tenantRef": {"name": "contoso"}, "address": address, "type": "Room",
            "subscription": {"enabled": true}, "checkInterval": "1h", "suspend": false,
        },
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "mailbox": {"id": id(2), "primaryAddress": address, "displayName": format!("Room {number}")},
            "subscription": {
                "id": id(3), "ownerUid": id(1), "endpointHash": "0123456789abcdef", "keyId": 1,
                "grantedAt": "2026-11-24T07:30:00Z", "expiresAt": "2026-11-30T08:00:00Z",
                "renewAt": "2026-11-28T08:00:00Z",
            },
            "activatedAt": "2026-11-24T07:30:00Z",
            "history": [{"time": "2026-11-24T07:30:00Z", "to": "Activated", "reason": "Activated", "message": works}],
        },
    });
    serde_json::to_vec(&object).unwrap()
}

fn take(context: &super::world::Context, number: u32) {
    let object: StoredMailbox = serde_json::from_slice(&healthy(number)).unwrap();
    context.mailbox_present(object.record().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_takes_little_memory() {
    let context = Stage::new().context();
    context.tenant_present(&tenant(1));
    take(&context, 0);
    let kept = measure(|| (1..=MAILBOXES).for_each(|number| take(&context, number)));
    let each = kept.bytes_current / i64::from(MAILBOXES);
    assert!(each <= MOST, "{each} bytes for each mailbox");
}
