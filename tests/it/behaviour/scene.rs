//! What the behaviour tests have in common: an organization, manifests for it, and ways to look at what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use graph_emulator::{FaultRule, Faults, JournalEntry, SubscriptionView, World};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::audit::AuditEntry;
use testbed::error::Error;
use testbed::objects::{self, Kind, condition};
use testbed::testbed::Testbed;

pub(crate) use crate::merge_patch::merged as with;

/// What the operator promises after a change that a person made.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Far more than anything takes; a test that needs it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A pace at which a sweep takes three seconds instead of fifteen minutes.
pub(crate) const SWEEPING: u32 = 300;

pub(crate) const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
pub(crate) const CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000001";
pub(crate) const SECRET: &str = "behaviour-client-secret";

/// The organization that most tests need; a test changes it before it starts.
pub(crate) fn contoso() -> Value {
    json!({"tenants": [{
        "id": TENANT,
        "displayName": "Contoso",
        "domains": [
            {"name": "contoso.example", "default": true},
            {"name": "laboratory.example"},
            {"name": "old.example", "verified": false},
        ],
        "applications": [{
            "clientId": CLIENT,
            "secrets": [{"value": SECRET}],
            "roles": [
                "User.Read.All", "Calendars.Read", "Place.Read.All", "Domain.Read.All",
                "Organization.Read.All",
            ],
        }],
        "mailboxes": [
            {"address": "room-a@contoso.example", "type": "room", "displayName": "Room A"},
            {"address": "room-b@contoso.example", "type": "room", "displayName": "Room B"},
        ],
    }]})
}

/// The same with so many more rooms, which [`rooms`] declares.
pub(crate) fn contoso_with(rooms: u32) -> Value {
    let mut organization = contoso();
    organization["tenants"][0]["generate"] =
        json!({"rooms": rooms, "prefix": "room-", "domain": "contoso.example"});
    organization
}

/// So many rooms of the tenant `contoso`.
pub(crate) fn rooms(count: u32) -> Vec<Value> {
    let declared = |number| room(&room_name(number), &room_address(number));
    (1..=count).map(declared).collect()
}

/// The name of one of them; the first has the number 1.
pub(crate) fn room_name(number: u32) -> String {
    format!("room-{number:06}")
}

/// The address of one of them.
pub(crate) fn room_address(number: u32) -> String {
    format!("{}@contoso.example", room_name(number))
}

pub(crate) fn world(value: &Value) -> World {
    World::from_yaml(&value.to_string()).unwrap()
}

/// An offered Secret with the client secret.
pub(crate) fn secret(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "labels": {"hybridcalendar.dev/credential": "true"}},
        "stringData": {"client-secret": value},
    })
}

/// A tenant of contoso that uses the Secret `credential`.
pub(crate) fn tenant(name: &str) -> Value {
    json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "CalendarTenant",
        "metadata": {"name": name},
        "spec": {
            "tenantId": TENANT,
            "clientId": CLIENT,
            "endpoints": {"login": "${EMULATOR}", "graph": "${EMULATOR}"},
            "credential": {"clientSecret": {"secretRef": {"name": "credential"}}},
        },
    })
}

/// A room of the tenant `contoso`.
pub(crate) fn room(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "WorkspaceMailbox",
        "metadata": {"name": name},
        "spec": {"tenantRef": {"name": "contoso"}, "address": address},
    })
}

/// The Secret, the tenant `contoso` and the room `room-a`: what works.
pub(crate) fn good() -> Vec<Value> {
    vec![
        secret("credential", SECRET),
        tenant("contoso"),
        room("room-a", "room-a@contoso.example"),
    ]
}

/// Everything running, and these objects applied.
pub(crate) async fn start(organization: &Value, objects: &[Value]) -> Testbed {
    let bed = Testbed::start(world(organization)).await.unwrap();
    apply(&bed, objects).await;
    bed
}

/// `kubectl apply` of documents in the testbed's namespace, unless they name another.
pub(crate) async fn apply(bed: &Testbed, objects: &[Value]) {
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    bed.apply(&documents.join("\n---\n")).await.unwrap();
}

/// `kubectl patch --type merge`.
pub(crate) async fn patch(bed: &Testbed, kind: Kind, name: &str, change: &Value) {
    let objects = kind.api(&bed.client, &bed.namespace);
    let patch = Patch::Merge(change);
    let parameters = PatchParams::default();
    objects.patch(name, &parameters, &patch).await.unwrap();
}

/// Waits until `holds` says so. A look that failed is none; the last one is told at the deadline.
pub(crate) async fn eventually(
    bed: &Testbed,
    what: &str,
    deadline: Duration,
    holds: impl AsyncFnMut() -> Result<bool, Error>,
) {
    let waited = within(bed, what, deadline, holds).await;
    waited.unwrap_or_else(|late| panic!("{late}"));
}

/// The same for who has more to say when it is too late.
pub(crate) async fn within(
    bed: &Testbed,
    what: &str,
    deadline: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<(), String> {
    let mut failed = None;
    let waited = bed.wait_until(what, deadline, async || {
        let looked = holds().await;
        looked.unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    });
    waited.await.map_err(|late| match failed {
        Some(error) => format!("{late}\nA look failed: {error}"),
        None => late.to_string(),
    })
}

/// Waits for a condition of a mailbox, written `Ready=False/MailboxNotFound`.
pub(crate) async fn mailbox_is(bed: &Testbed, name: &str, expected: &str) -> Value {
    bed.wait_condition(Kind::Mailbox, name, expected, DEADLINE)
        .await
        .unwrap()
}

/// Waits for a condition of a tenant.
pub(crate) async fn tenant_is(bed: &Testbed, name: &str, expected: &str) -> Value {
    bed.wait_condition(Kind::Tenant, name, expected, DEADLINE)
        .await
        .unwrap()
}

/// A condition as `Status/Reason`.
pub(crate) fn state(object: &Value, type_: &str) -> String {
    let text = |field: &Value| field.as_str().unwrap_or("-").to_owned();
    match condition(object, type_) {
        Some(found) => format!("{}/{}", text(&found["status"]), text(&found["reason"])),
        None => "absent".to_owned(),
    }
}

/// What a condition says.
pub(crate) fn message(object: &Value, type_: &str) -> String {
    let found = condition(object, type_).unwrap_or(&Value::Null);
    found["message"].as_str().unwrap_or_default().to_owned()
}

/// Status writes by the operator of this testbed to an object, or to all when `name` is empty.
pub(crate) fn status_writes<'a>(
    bed: &Testbed,
    entries: &'a [AuditEntry],
    name: &str,
) -> Vec<&'a AuditEntry> {
    let operator = format!("system:serviceaccount:{0}:{0}", bed.namespace);
    entries
        .iter()
        .filter(|entry| entry.user == operator && entry.is_status_write())
        .filter(|entry| name.is_empty() || entry.name == name)
        .collect()
}

/// Asserts that this is the one problem that stands between an object and `Ready`, and that `Ready` names it.
pub(crate) fn assert_one_problem(object: &Value, type_: &str, reason: &str) {
    const SUMMARIES: [&str; 3] = ["Ready", "Stalled", "Reconciling"];
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let problems: Vec<&str> = conditions
        .iter()
        .filter(|condition| condition["status"] == "True")
        .filter_map(|condition| condition["type"].as_str())
        .filter(|type_| !SUMMARIES.contains(type_))
        .collect();
    assert_eq!(problems, [type_], "{object:#}");
    assert_eq!(state(object, type_), format!("True/{reason}"));
    assert_eq!(state(object, "Ready"), format!("False/{type_}"));
    let summary = format!("{reason}: {}", message(object, type_));
    assert_eq!(message(object, "Ready"), summary);
}

/// When a condition last changed its status, in whole seconds.
pub(crate) fn since(object: &Value, type_: &str) -> Timestamp {
    let found = condition(object, type_).unwrap();
    found["lastTransitionTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Asks for a look at once, as a person would.
pub(crate) async fn request(bed: &Testbed, kind: Kind, name: &str, at: &str) {
    let annotation = json!({"hybridcalendar.dev/reconcile-requested-at": at});
    let change = json!({"metadata": {"annotations": annotation}});
    patch(bed, kind, name, &change).await;
}

/// Waits until the look that was asked for has been taken.
pub(crate) async fn echoed(bed: &Testbed, kind: Kind, name: &str, at: &str) {
    echoed_in(bed, &bed.namespace, (kind, name), at).await;
}

/// The same in another namespace.
pub(crate) async fn echoed_in(
    bed: &Testbed,
    namespace: &str,
    (kind, name): (Kind, &str),
    at: &str,
) {
    let what = format!("the request {at:?} about {name} is echoed");
    eventually(bed, &what, DEADLINE, async || {
        let object = objects::get(&bed.client, kind, namespace, name).await?;
        Ok(object["status"]["lastHandledReconcileAt"] == at)
    })
    .await;
}

/// The number of the last call to Graph.
pub(crate) fn mark(bed: &Testbed) -> u64 {
    bed.emulator.journal(0).last().map_or(0, |entry| entry.seq)
}

/// The sum of a counter of the operator, by its name without the prefix.
pub(crate) async fn counter(
    bed: &Testbed,
    name: &str,
    labels: &[(&str, &str)],
) -> Result<f64, Error> {
    let metrics = bed.operator.metrics().await?;
    let name = format!("hybridcalendar_{name}");
    Ok(metrics.sum(&name, labels).unwrap_or_default())
}

/// Tenants and mailboxes whose checks come by themselves more rarely than a test is long.
pub(crate) fn daily(mut objects: Vec<Value>) -> Vec<Value> {
    for object in objects
        .iter_mut()
        .filter(|object| object["kind"] != "Secret")
    {
        object["spec"]["checkInterval"] = json!("24h");
    }
    objects
}

/// Calls to Graph about the mailbox with this address.
pub(crate) fn calls_about(bed: &Testbed, address: &str) -> Vec<JournalEntry> {
    let mut entries = bed.emulator.journal(0);
    entries.retain(|entry| {
        let about = entry.mailbox.as_deref() == Some(address);
        about || entry.path.contains(&address.replace('@', "%40")) || entry.path.contains(address)
    });
    entries
}

/// Waits for the warning Event about an object with this reason. Returns what it says.
pub(crate) async fn warning(bed: &Testbed, name: &str, reason: &str) -> String {
    let mut note = String::new();
    let what = format!("an Event warns of {reason} of {name}");
    eventually(bed, &what, DEADLINE, async || {
        let events = objects::events(&bed.client, &bed.namespace).await?;
        let found = events.into_iter().find(|event| {
            let about = event.regarding.as_ref().and_then(|r| r.name.as_deref());
            let warns = event.type_.as_deref() == Some("Warning");
            about == Some(name) && warns && event.reason.as_deref() == Some(reason)
        });
        note = found.and_then(|event| event.note).unwrap_or_default();
        Ok(!note.is_empty())
    })
    .await;
    note
}

/// The id of another organization than contoso.
pub(crate) fn organization_id(number: u8) -> String {
    format!("5f1d7a9c-1111-4000-8000-{number:012}")
}

/// An organization like contoso, with the same application, whose domain is `{name}.example`.
pub(crate) fn company(name: &str, number: u8) -> Value {
    let text = contoso()["tenants"][0]
        .to_string()
        .replace(TENANT, &organization_id(number))
        .replace("contoso.example", &format!("{name}.example"));
    serde_json::from_str(&text).unwrap()
}

/// Its tenant, which has its name.
pub(crate) fn company_tenant(name: &str, number: u8) -> Value {
    let spec = json!({"tenantId": organization_id(number)});
    with(tenant(name), json!({"spec": spec}))
}

/// The room `{company}-a` for `room-a@{company}.example`.
pub(crate) fn company_room(company: &str, letter: &str) -> Value {
    let address = format!("room-{letter}@{company}.example");
    with(
        room(&format!("{company}-{letter}"), &address),
        json!({"spec": {"tenantRef": {"name": company}}}),
    )
}

/// The one subscription that Graph has for a mailbox; a test fails where there are more, or none.
pub(crate) fn only_subscription(bed: &Testbed, address: &str) -> SubscriptionView {
    let mut found = subscriptions(bed, address);
    assert_eq!(found.len(), 1, "subscriptions of {address}: {found:#?}");
    found.remove(0)
}

/// What Graph has for a mailbox.
pub(crate) fn subscriptions(bed: &Testbed, address: &str) -> Vec<SubscriptionView> {
    let mut all = bed.emulator.subscriptions();
    all.retain(|subscription| subscription.mailbox == address);
    all
}

/// One rule of what goes wrong, and nothing else.
pub(crate) fn fault(rule: FaultRule) -> Faults {
    Faults {
        rules: vec![rule],
        ..Faults::default()
    }
}

/// What a build with all its checks may take, also with hundreds of mailboxes.
const MEMORY: f64 = 128.0 * 1024.0 * 1024.0;

/// The end of a large test.
pub(crate) async fn memory_is_bounded(bed: &Testbed) {
    let metrics = bed.operator.metrics().await.unwrap();
    let resident = metrics.sum("process_resident_memory_bytes", &[]).unwrap();
    assert!(resident < MEMORY, "{resident} bytes");
}

/// Waits until so many mailboxes of the tenant `contoso` are there and ready.
pub(crate) async fn all_ready(bed: &Testbed, count: u32) {
    counted(bed, &format!("{count}/{count}")).await;
}

/// Waits until the tenant `contoso` has counted its mailboxes, ready ones of all.
pub(crate) async fn counted(bed: &Testbed, summary: &str) {
    let what = format!("the tenant counts {summary}");
    eventually(bed, &what, DEADLINE, async || {
        let tenant = bed.get_tenant("contoso").await?;
        Ok(tenant["status"]["mailboxes"]["summary"] == summary)
    })
    .await;
}

/// Waits until Graph has granted a subscription more life twice, while it was never gone.
pub(crate) async fn renewed_twice(bed: &Testbed, address: &str, id: &str) {
    let mut ends = only_subscription(bed, address).expiration_date_time;
    let mut renewals = 0;
    bed.wait_until("it was renewed twice", Duration::from_mins(2), async || {
        let subscription = only_subscription(bed, address);
        assert_eq!(subscription.id, id, "it was never gone");
        renewals += u32::from(subscription.expiration_date_time > ends);
        ends = subscription.expiration_date_time;
        renewals >= 2
    })
    .await
    .unwrap();
}

/// The subscriptions that the statuses of these rooms name, in the order of the rooms.
pub(crate) async fn named(bed: &Testbed, rooms: &[Value]) -> Vec<Value> {
    look_at_names(bed, rooms).await.unwrap()
}

async fn look_at_names(bed: &Testbed, rooms: &[Value]) -> Result<Vec<Value>, Error> {
    let all = objects::list(&bed.client, Kind::Mailbox, &bed.namespace).await?;
    let ids: BTreeMap<String, Value> = all
        .iter()
        .map(|room| {
            let name = room["metadata"]["name"].as_str().unwrap().to_owned();
            (name, room["status"]["subscription"]["id"].clone())
        })
        .collect();
    let of = |room: &Value| ids.get(room["metadata"]["name"].as_str().unwrap()).cloned();
    let rooms = rooms.iter();
    Ok(rooms.map(|room| of(room).unwrap_or_default()).collect())
}

/// Waits until each room's status names the one subscription that Graph has for it, and Graph has no others than
/// these and so many of somebody else's.
pub(crate) async fn each_has_one(bed: &Testbed, rooms: &[Value], foreign: usize) {
    eventually(
        bed,
        "each room has its subscription",
        DEADLINE,
        async || {
            let named = look_at_names(bed, rooms).await?;
            let all = bed.emulator.subscriptions();
            let of = |id: &Value| all.iter().find(|subscription| *id == *subscription.id);
            let ones = rooms.iter().zip(&named).filter(|(room, id)| {
                of(id).is_some_and(|subscription| room["spec"]["address"] == *subscription.mailbox)
            });
            Ok(ones.count() == rooms.len() && all.len() == rooms.len() + foreign)
        },
    )
    .await;
}
