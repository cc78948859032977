//! Who may use what: references, endpoints, Secrets and ServiceAccounts that were not offered.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::objects::{self, Kind};
use testbed::testbed::{Testbed, start_emulator};

use super::scene::{
    CLIENT, DEADLINE, SECRET, SOON, TENANT, all_ready, apply, assert_one_problem, calls_about,
    contoso, counted, daily, echoed, echoed_in, eventually, good, mailbox_is, mark, message,
    request, room, secret, since, start, state, tenant, tenant_is, with, within, world,
};

const ADDRESS: &str = "room-a@contoso.example";

/// A testbed whose operator looks at a second namespace, too.
async fn with_neighbours(organization: &Value) -> (Testbed, String) {
    let control_plane = ControlPlane::shared().await.unwrap();
    let neighbours = control_plane.namespace().await.unwrap();
    let bed = Testbed::start_with(world(organization), |options| {
        options.namespaces.push(neighbours.clone());
    })
    .await
    .unwrap();
    (bed, neighbours)
}

/// A room of the neighbours that refers to the tenant `contoso` of the testbed's own namespace.
fn foreign_room(bed: &Testbed, neighbours: &str, name: &str, address: &str) -> Value {
    let home = json!({
        "metadata": {"namespace": neighbours},
        "spec": {"tenantRef": {"namespace": bed.namespace}},
    });
    with(room(name, address), home)
}

/// Waits for a condition of a room of the neighbours.
async fn foreign_is(bed: &Testbed, neighbours: &str, name: &str, expected: &str) -> Value {
    let expected = objects::Expected::parse(expected).unwrap();
    let mut found = Value::Null;
    let what = format!("{neighbours}/{name} has {expected}, but it is");
    let waited = within(bed, &what, DEADLINE, async || {
        found = objects::get(&bed.client, Kind::Mailbox, neighbours, name).await?;
        Ok(expected.holds(&found))
    });
    let waited = waited.await;
    waited.unwrap_or_else(|late| panic!("{late}\n{found:#}"));
    found
}

/// Objects that are made from now on are younger than this one.
async fn until_older(bed: &Testbed, object: &Value) {
    let made: jiff::Timestamp = object["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    bed.wait_until("another second has begun", DEADLINE, async || {
        bed.emulator.now().as_second() > made.as_second()
    })
    .await
    .unwrap();
}

async fn label(bed: &Testbed, namespace: &str, team: Option<&str>) {
    let namespaces: Api<Namespace> = Api::all(bed.client.clone());
    let change = json!({"metadata": {"labels": {"team": team}}});
    namespaces
        .patch(namespace, &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reference_that_is_not_permitted_costs_the_owner_nothing() {
    let (bed, neighbours) = with_neighbours(&contoso()).await;
    apply(&bed, &good()[..2]).await;
    let intruders = [
        foreign_room(&bed, &neighbours, "intruder", ADDRESS),
        foreign_room(&bed, &neighbours, "curious", "room-b@contoso.example"),
    ];
    apply(&bed, &intruders).await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    let refused = "TenantNotReady=True/ReferenceNotPermitted";
    let curious = foreign_is(&bed, &neighbours, "curious", refused).await;
    assert_one_problem(&curious, "TenantNotReady", "ReferenceNotPermitted");
    assert!(message(&curious, "Ready").contains("spec.allowedNamespaces"));
    assert_eq!(state(&curious, "Stalled"), "True/ReferenceNotPermitted");
    assert_eq!(state(&curious, "Conflict"), "Unknown/Blocked");
    let intruder = foreign_is(&bed, &neighbours, "intruder", refused).await;
    until_older(&bed, &intruder).await;

    apply(&bed, &good()[2..]).await;
    bed.wait_condition(Kind::Mailbox, "room-a", "Ready=True/Activated", SOON)
        .await
        .unwrap();
    let owner = bed.get_mailbox("room-a").await.unwrap();
    assert_eq!(state(&owner, "Conflict"), "False/NoConflict");
    assert_eq!(owner["status"]["history"].as_array().unwrap().len(), 1);
    // Also when somebody asks for it nothing is asked of Microsoft on their behalf.
    let again = json!({"metadata": {"annotations": {
        "hybridcalendar.dev/reconcile-requested-at": "again",
    }}});
    apply(&bed, &[with(intruders[1].clone(), again)]).await;
    echoed_in(&bed, &neighbours, (Kind::Mailbox, "curious"), "again").await;
    assert_eq!(calls_about(&bed, "room-b@contoso.example"), []);
    counted(&bed, "1/1").await;
}

#[tokio::test]
async fn labels_of_a_namespace_decide_at_once_who_may_refer_to_a_tenant() {
    let (bed, neighbours) = with_neighbours(&contoso()).await;
    let selector = json!({"spec": {"allowedNamespaces": {
        "from": "Selector", "selector": {"matchLabels": {"team": "rooms"}},
    }}});
    let objects = [
        secret("credential", SECRET),
        with(tenant("contoso"), selector),
        foreign_room(&bed, &neighbours, "room-a", ADDRESS),
    ];
    apply(&bed, &objects).await;
    let refused = "TenantNotReady=True/ReferenceNotPermitted";
    let guest = foreign_is(&bed, &neighbours, "room-a", refused).await;
    until_older(&bed, &guest).await;
    apply(&bed, &good()[2..]).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;

    // From now on the older object has the mailbox.
    label(&bed, &neighbours, Some("rooms")).await;
    let younger = mailbox_is(&bed, "room-a", "Conflict=True/AddressInUse").await;
    assert!(message(&younger, "Ready").contains(&format!("{neighbours}/room-a")));
    let guest = foreign_is(&bed, &neighbours, "room-a", "Ready=True/Activated").await;
    let waited = since(&guest, "Ready").duration_since(since(&younger, "Conflict"));
    assert!(waited.as_secs() <= 5, "{waited}");
    assert_only_subscription_is_of(&bed, &guest);
    counted(&bed, "1/2").await;

    // And now the owner again, although the neighbours' status names its subscription for another ten minutes.
    label(&bed, &neighbours, Some("kitchen")).await;
    foreign_is(&bed, &neighbours, "room-a", refused).await;
    let owner = mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    assert_only_subscription_is_of(&bed, &owner);
    eventually(
        &bed,
        "the neighbours' status names none",
        DEADLINE,
        async || {
            let guest = objects::get(&bed.client, Kind::Mailbox, &neighbours, "room-a").await?;
            Ok(guest["status"]["subscription"].is_null())
        },
    )
    .await;
    assert_only_subscription_is_of(&bed, &owner);
}

/// There is one subscription: that of this object.
fn assert_only_subscription_is_of(bed: &Testbed, object: &Value) {
    let subscriptions = bed.emulator.subscriptions();
    let ids: Vec<&str> = subscriptions.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, [&object["status"]["subscription"]["id"]]);
}

#[tokio::test]
async fn the_older_of_two_objects_has_the_mailbox_and_the_younger_takes_over() {
    let bed = start(&contoso(), &daily(good())).await;
    let older = mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    all_ready(&bed, 1).await;
    until_older(&bed, &older).await;
    let seen = mark(&bed);
    let same = daily(vec![room("same", "ROOM-A@contoso.example")]);
    apply(&bed, &same).await;
    let younger = mailbox_is(&bed, "same", "Conflict=True/AddressInUse").await;
    assert_one_problem(&younger, "Conflict", "AddressInUse");
    assert!(message(&younger, "Ready").contains(&format!("{}/room-a", bed.namespace)));
    assert_eq!(state(&younger, "MailboxNotFound"), "Unknown/Blocked");
    assert_eq!(state(&younger, "Stalled"), "True/AddressInUse");
    assert_eq!(younger["status"]["observedGeneration"], 1);
    request(&bed, Kind::Mailbox, "same", "again").await;
    echoed(&bed, Kind::Mailbox, "same", "again").await;
    // The operator's own sweeps look at subscriptions in any case.
    let mut calls = bed.emulator.journal(seen);
    calls.retain(|call| call.operation != "listSubscriptions");
    assert_eq!(calls, []);

    let rooms = Kind::Mailbox.api(&bed.client, &bed.namespace);
    rooms
        .delete("room-a", &DeleteParams::default())
        .await
        .unwrap();
    bed.wait_condition(Kind::Mailbox, "same", "Ready=True/Activated", SOON)
        .await
        .unwrap();
    let heir = bed.get_mailbox("same").await.unwrap();
    assert_only_subscription_is_of(&bed, &heir);
    let history = heir["status"]["history"].as_array().unwrap();
    let reasons: Vec<_> = history
        .iter()
        .map(|entry| entry["reason"].clone())
        .collect();
    assert_eq!(reasons, ["Activated", "AddressInUse"]);
}

/// A tenant that uses the ServiceAccount `calendars`.
fn federated(name: &str) -> Value {
    let identity = json!({"serviceAccountName": "calendars"});
    let credential = json!({"clientSecret": null, "workloadIdentity": identity});
    with(tenant(name), json!({"spec": {"credential": credential}}))
}

fn account(client: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {
            "name": "calendars",
            "annotations": {"azure.workload.identity/client-id": client},
        },
    })
}

#[tokio::test]
async fn what_was_not_offered_is_never_called_or_used() {
    let elsewhere = start_emulator(world(&contoso())).await.unwrap();
    let address = elsewhere.base_url();
    let label = json!({"metadata": {"labels": null}});
    let endpoints = json!({"spec": {"endpoints": {"login": address, "graph": address}}});
    let objects = [
        with(secret("credential", SECRET), label),
        tenant("contoso"),
        account(Some("5f1d7a9c-2222-4000-8000-000000000009")),
        federated("federated"),
        secret("offered", SECRET),
        with(
            with(tenant("elsewhere"), endpoints),
            json!({"spec": {"credential": {"clientSecret": {"secretRef": {"name": "offered"}}}}}),
        ),
        room("room-a", ADDRESS),
        with(
            room("room-b", "room-b@contoso.example"),
            json!({"spec": {"tenantRef": {"name": "elsewhere"}}}),
        ),
    ];
    let bed = start(&contoso(), &objects).await;
    for (name, reason) in [
        ("contoso", "SecretNotOffered"),
        ("federated", "ServiceAccountNotOffered"),
    ] {
        let found = tenant_is(&bed, name, &format!("Unauthorized=True/{reason}")).await;
        assert_one_problem(&found, "Unauthorized", reason);
        assert_eq!(state(&found, "Stalled"), format!("True/{reason}"));
    }
    let stalled = tenant_is(&bed, "elsewhere", "Stalled=True/EndpointNotAllowed").await;
    assert_eq!(state(&stalled, "Ready"), "False/EndpointNotAllowed");
    assert!(message(&stalled, "Ready").contains("--allowed-endpoint"));
    assert_eq!(stalled["status"]["observedGeneration"], 1);
    for check in [
        "Unauthorized",
        "DomainMismatch",
        "EndpointRejected",
        "CredentialExpiring",
    ] {
        assert_eq!(state(&stalled, check), "Unknown/Blocked", "{check}");
    }
    for name in ["room-a", "room-b"] {
        let waiting = mailbox_is(&bed, name, "TenantNotReady=True/TenantUnauthorized").await;
        assert_eq!(state(&waiting, "Ready"), "False/TenantNotReady");
    }
    for name in ["contoso", "federated", "elsewhere"] {
        request(&bed, Kind::Tenant, name, "again").await;
        echoed(&bed, Kind::Tenant, name, "again").await;
    }
    assert_eq!(bed.emulator.journal(0), []);
    assert_eq!(elsewhere.journal(0), []);
}

#[tokio::test]
async fn a_service_account_that_is_offered_gets_a_token_from_the_real_api_server() {
    let mut organization = contoso();
    organization["tenants"][0]["applications"][0]["secrets"] = json!([]);
    let bed = start(&organization, &[account(None), federated("contoso")]).await;
    apply(&bed, &good()[2..]).await;
    tenant_is(
        &bed,
        "contoso",
        "Unauthorized=True/ServiceAccountNotOffered",
    )
    .await;
    assert_eq!(bed.emulator.journal(0), []);

    // Offered, but the platform team did not permit tokens to be requested here.
    apply(&bed, &[account(Some(CLIENT))]).await;
    request(&bed, Kind::Tenant, "contoso", "offered").await;
    let forbidden = tenant_is(&bed, "contoso", "Unauthorized=True/TokensNotPermitted").await;
    assert_one_problem(&forbidden, "Unauthorized", "TokensNotPermitted");
    assert!(message(&forbidden, "Unauthorized").contains("workloadIdentity.namespaces"));
    assert_eq!(state(&forbidden, "Stalled"), "absent");
    assert_eq!(bed.emulator.journal(0), []);

    // Permitted, but unknown to Entra.
    let permission = "--workload-identity-namespace=*".to_owned();
    bed.permit(&[permission]).await.unwrap();
    request(&bed, Kind::Tenant, "contoso", "permitted").await;
    let unknown = tenant_is(&bed, "contoso", "Unauthorized=True/FederationRejected").await;
    let subject = format!("system:serviceaccount:{}:calendars", bed.namespace);
    assert!(message(&unknown, "Unauthorized").contains(&subject));
    assert_eq!(state(&unknown, "Stalled"), "absent");

    let keys = bed.control_plane.jwks().await.unwrap();
    let credential = json!({
        "issuer": bed.control_plane.issuer(), "subject": subject,
        "audience": "api://AzureADTokenExchange",
        "jwks": serde_json::from_str::<Value>(&keys).unwrap(),
    });
    bed.emulator
        .update_world(|world| {
            let application = &mut world.tenant_mut(TENANT).unwrap().applications[0];
            application.federated = vec![serde_json::from_value(credential).unwrap()];
        })
        .unwrap();
    let ready = tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    assert_eq!(ready["status"]["credential"]["kind"], "WorkloadIdentity");
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    // Nobody but its owner decides who may use it.
    let other = json!({"metadata": {"annotations": {
        "azure.workload.identity/client-id": "5f1d7a9c-2222-4000-8000-000000000009",
    }}});
    apply(&bed, &[with(account(None), other)]).await;
    request(&bed, Kind::Tenant, "contoso", "withdrawn").await;
    tenant_is(
        &bed,
        "contoso",
        "Unauthorized=True/ServiceAccountNotOffered",
    )
    .await;
}
