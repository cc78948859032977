//! What `check` prints is what the operator writes, for the same objects in the same world.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::objects::{self, Kind};
use testbed::testbed::Testbed;

use super::check::program::{Files, organization, user};
use crate::behaviour::scene::{SECRET, apply, room, secret, tenant, with, world};

/// At this pace ten minutes of patience are two seconds.
const PACE: u32 = 300;

/// A tenant and mailboxes that work, and some of each kind of trouble.
fn objects() -> Vec<Value> {
    let named = |name: &str| json!({"spec": {"tenantRef": {"name": name}}});
    let wrong = with(
        tenant("wrong"),
        json!({"spec": {"credential": {"clientSecret": {"secretRef": {"name": "wrong"}}}}}),
    );
    let domains = with(
        tenant("domains"),
        json!({"spec": {"domains": ["old.example"]}}),
    );
    vec![
        secret("credential", SECRET),
        secret("wrong", "another-client-secret"),
        tenant("contoso"),
        wrong,
        domains,
        room("room-a", "room-a@contoso.example"),
        room("alias", "a@contoso.example"),
        room("nobody", "nobody@contoso.example"),
        room("legacy", "legacy@contoso.example"),
        room("hidden", "hidden@contoso.example"),
        room("elsewhere", "room-a@fabrikam.example"),
        user("ceo", "ceo@contoso.example"),
        user("guest", "guest@contoso.example"),
        user("sign-in", "ada.l@contoso.example"),
        with(room("waiting", "room-b@contoso.example"), named("wrong")),
    ]
}

/// The status without what depends on the time, on a request or on a subscription.
fn comparable(object: &Value) -> Value {
    let mut status = object["status"].clone();
    let fields = status.as_object_mut().unwrap();
    for apart in ["subscription", "activatedAt", "history"] {
        fields.remove(apart);
    }
    let conditions = fields["conditions"].as_array_mut().unwrap();
    conditions.retain(|condition| {
        let type_ = condition["type"].as_str().unwrap();
        !["SubscriptionInactive", "EndpointRejected"].contains(&type_)
    });
    for condition in conditions {
        condition
            .as_object_mut()
            .unwrap()
            .remove("lastTransitionTime");
        let message = condition["message"].as_str().unwrap_or_default();
        let stem = message.split(" (request-id ").next().unwrap_or_default();
        // Whether the calendar is being watched too.
        let says = if condition["reason"] == "Activated" {
            "The mailbox works"
        } else {
            stem
        };
        assert!(stem.starts_with(says), "{stem}");
        condition["message"] = json!(says);
    }
    status
}

async fn written(bed: &Testbed, object: &Value) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap();
    let kind = match object["kind"].as_str() {
        Some("CalendarTenant") => Kind::Tenant,
        _ => Kind::Mailbox,
    };
    objects::get(&bed.client, kind, &bed.namespace, name)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_statuses_are_those_that_the_operator_writes() {
    let bed = Testbed::start_with(world(&organization()), |options| {
        options.rehearsal_pace = Some(PACE);
    })
    .await
    .unwrap();
    let objects = objects();
    apply(&bed, &objects).await;

    let files = Files::of(&objects, &bed.emulator.base_url());
    let address = bed.emulator.base_url();
    let namespace = bed.namespace.clone();
    let checked = files
        .check(&[
            "-o",
            "json",
            "-n",
            &namespace,
            "--allowed-endpoint",
            &address,
        ])
        .await;
    assert_eq!(checked.code, Some(1), "{checked:?}");

    let kinds = ["CalendarTenant", "WorkspaceMailbox"];
    let ours = objects
        .iter()
        .filter(|object| kinds.contains(&object["kind"].as_str().unwrap()));
    for object in ours {
        let name = object["metadata"]["name"].as_str().unwrap();
        let expected = comparable(&checked.object(name));
        let mut last = Value::Null;
        let what = format!("the operator writes of {name} what check prints: {expected:#}");
        let waited =
            crate::behaviour::scene::within(&bed, &what, Duration::from_secs(20), async || {
                last = written(&bed, object).await;
                Ok(last["status"]["conditions"].is_array() && comparable(&last) == expected)
            })
            .await;
        assert!(waited.is_ok(), "{what}, but wrote {:#}", comparable(&last));
    }
}
