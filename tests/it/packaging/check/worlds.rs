//! What is wrong in Microsoft 365 is what somebody is told, with who acts.

use std::net::Ipv4Addr;
use std::path::Path;

use graph_emulator::{Emulator, FaultRule, Faults, Operation};
use serde_json::{Value, json};
use testbed::objects::condition;
use tokio::net::TcpSocket;

use super::program::{
    Files, assert_understood, check, organization, start, user, writes, writing_organization,
};
use crate::behaviour::scene::{SECRET, TENANT, good, room, secret, tenant, with, world};
use crate::repository::root;

#[tokio::test]
async fn what_works_is_ready_and_nothing_is_written() {
    let emulator = start(&organization()).await;
    let test = json!({"spec": {"testMailbox": "room-b@contoso.example"}});
    let mut objects = good();
    objects[1] = with(objects[1].clone(), test);
    objects.push(user("ada", "ada@contoso.example"));
    let checked = check(&emulator, &objects, &[]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for part in [
        "✓ CalendarTenant default/contoso   Ready=True Operational",
        "Organization  Contoso",
        "Domains       contoso.example (default), laboratory.example",
        "Not verified  old.example",
        "Granted       Calendars.Read, Domain.Read.All",
        "Not needed    none",
        "- TestMailboxFailed     False    NotApplicable       Not tried: only with --write-test",
        "✓ WorkspaceMailbox default/room-a   Ready=True Activated",
        "Mailbox       Room A, room-a@contoso.example",
        "- SubscriptionInactive  False    NotApplicable       Not tried: only the operator",
        "✓ WorkspaceMailbox default/ada   Ready=True Activated",
        "Tenants ready: 1 of 1. Mailboxes ready: 2 of 2.\nEverything that was checked is well.",
        "Nothing was written at Microsoft.",
    ] {
        assert!(checked.out.contains(part), "no `{part}` in {}", checked.out);
    }
    assert_eq!(checked.err, "");
    assert!(!checked.out.contains(SECRET), "{}", checked.out);
    assert!(!checked.out.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(writes(&emulator), [""; 0]);
    let calls = emulator.journal(0).len();
    assert!(calls <= 12, "{calls} calls");
    assert_understood(&emulator);
}

#[tokio::test]
async fn the_test_event_is_created_only_when_somebody_asks_for_it() {
    let emulator = start(&writing_organization()).await;
    let test = json!({"spec": {"testMailbox": "room-b@contoso.example"}});
    let objects = [secret("credential", SECRET), with(tenant("contoso"), test)];
    let arguments = ["-o", "json", "--write-test"];
    let checked = check(&emulator, &objects, &arguments).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(
        checked.state("contoso", "TestMailboxFailed"),
        "False/TestPassed"
    );
    assert_eq!(writes(&emulator), ["createEvent", "deleteEvent"]);
    assert_understood(&emulator);
}

/// A world, what is checked in it, and the one problem that it has: object, condition, reason.
struct Case {
    organization: Value,
    objects: Vec<Value>,
    problem: (&'static str, &'static str, &'static str),
    /// Whether the object is not ready because of it.
    blocks: bool,
    /// What else a person is told.
    says: &'static [&'static str],
}

/// The application with other fields.
fn application(fields: Value) -> Value {
    let mut organization = organization();
    let application = &mut organization["tenants"][0]["applications"][0];
    *application = with(application.take(), fields);
    organization
}

fn tenant_case(
    organization: Value,
    change: Value,
    (type_, reason): (&'static str, &'static str),
    says: &'static [&'static str],
) -> Case {
    Case {
        organization,
        objects: vec![
            secret("credential", SECRET),
            with(tenant("contoso"), change),
        ],
        problem: ("contoso", type_, reason),
        blocks: true,
        says,
    }
}

fn mailbox_case(
    mailbox: Value,
    (type_, reason): (&'static str, &'static str),
    says: &'static [&'static str],
) -> Case {
    let mailbox = with(mailbox, json!({"metadata": {"name": "checked"}}));
    Case {
        organization: organization(),
        objects: vec![secret("credential", SECRET), tenant("contoso"), mailbox],
        problem: ("checked", type_, reason),
        blocks: true,
        says,
    }
}

const ENTRA: &str = "Who acts      Entra administrator";
const EXCHANGE: &str = "Who acts      Exchange administrator";
const OWNER: &str = "Who acts      owner of the object";

fn troubled_tenants() -> Vec<Case> {
    let unauthorized = |reason| ("Unauthorized", reason);
    let no = || json!({});
    let wrong = json!({"secrets": [{"value": "another"}]});
    let expired = json!({"secrets": [{"value": SECRET, "expiresAt": "2020-01-01T00:00:00Z"}]});
    vec![
        tenant_case(
            application(wrong),
            no(),
            unauthorized("InvalidClientSecret"),
            &[ENTRA],
        ),
        tenant_case(
            application(expired),
            no(),
            unauthorized("ClientSecretExpired"),
            &[ENTRA],
        ),
        tenant_case(
            organization(),
            json!({"spec": {"clientId": TENANT}}),
            unauthorized("ApplicationNotFound"),
            &[
                ENTRA,
                "/adminconsent?client_id=5f1d7a9c-1111-4000-8000-000000000001",
            ],
        ),
        tenant_case(
            organization(),
            json!({"spec": {"tenantId": "5f1d7a9c-9999-4000-8000-000000000001"}}),
            unauthorized("TenantNotFound"),
            &[OWNER],
        ),
        tenant_case(
            application(json!({"disabled": true})),
            no(),
            unauthorized("ApplicationDisabled"),
            &[ENTRA],
        ),
        tenant_case(
            application(json!({"roles": []})),
            no(),
            unauthorized("ConsentRequired"),
            &[
                ENTRA,
                "/5f1d7a9c-1111-4000-8000-000000000001/adminconsent?client_id=5f1d7a9c-2222-4000-8000-000000000001",
            ],
        ),
        tenant_case(
            application(json!({"roles": ["Calendars.Read", "Domain.Read.All"]})),
            no(),
            unauthorized("PermissionMissing"),
            &[
                ENTRA,
                "Missing       Place.Read.All, User.Read.All",
                "/adminconsent?",
            ],
        ),
        tenant_case(
            organization(),
            json!({"spec": {"domains": ["old.example"]}}),
            ("DomainMismatch", "DomainNotVerified"),
            &[ENTRA],
        ),
        tenant_case(
            organization(),
            json!({"spec": {"credential": {"clientSecret": {"secretRef": {"name": "missing"}}}}}),
            unauthorized("SecretNotFound"),
            &[OWNER, "may be at hand: --client-secret-file FILE"],
        ),
    ]
}

fn troubled_mailboxes() -> Vec<Case> {
    let at = |address: &str| room("checked", &format!("{address}@contoso.example"));
    vec![
        mailbox_case(
            at("nobody"),
            ("MailboxNotFound", "NotFound"),
            &[EXCHANGE, "Webex words this as Unauthorized"],
        ),
        mailbox_case(
            at("legacy"),
            ("MailboxNotFound", "NotEnabledForRest"),
            &[EXCHANGE],
        ),
        mailbox_case(
            user("checked", "guest@contoso.example"),
            ("MailboxNotFound", "GuestAccount"),
            &[OWNER],
        ),
        mailbox_case(
            at("a"),
            ("AddressMismatch", "AliasUsed"),
            &["room-a@contoso.example"],
        ),
        mailbox_case(
            user("checked", "ada.l@contoso.example"),
            ("AddressMismatch", "UserPrincipalNameUsed"),
            &["ada@contoso.example"],
        ),
        mailbox_case(
            user("checked", "ceo@contoso.example"),
            ("Unauthorized", "AccessPolicyDenied"),
            &[EXCHANGE],
        ),
        mailbox_case(
            room("checked", "room-a@fabrikam.example"),
            ("DomainMismatch", "DomainNotInTenant"),
            &[OWNER],
        ),
        Case {
            blocks: false,
            ..mailbox_case(at("hidden"), ("RoomNotListed", "NotInPlaces"), &[EXCHANGE])
        },
    ]
}

/// One emulator for all: its first token takes longer than all the rest.
async fn each_is_told(cases: Vec<Case>) {
    let emulator = start(&organization()).await;
    for Case {
        organization,
        objects,
        problem: (name, type_, reason),
        blocks,
        says,
    } in cases
    {
        emulator.set_world(world(&organization)).unwrap();
        let expected = i32::from(blocks);
        let json = check(&emulator, &objects, &["-o", "json"]).await;
        assert_eq!(json.code, Some(expected), "{reason}: {json:?}");
        assert_eq!(
            json.state(name, type_),
            format!("True/{reason}"),
            "{json:?}"
        );
        let ready = if blocks {
            format!("False/{type_}")
        } else {
            "True/Activated".to_owned()
        };
        assert_eq!(json.state(name, "Ready"), ready, "{json:?}");
        let table = check(&emulator, &objects, &[]).await;
        assert_eq!(table.code, Some(expected), "{reason}");
        let folder = if name == "contoso" {
            "tenant"
        } else {
            "mailbox"
        };
        let page = format!("docs/runbooks/{folder}/{type_}.md");
        assert!(Path::new(root()).join(&page).is_file(), "{page}");
        let link =
            format!("https://github.com/hybridcalendar/hybrid-calendar-operator/blob/main/{page}");
        for part in says.iter().chain(&[reason, link.as_str()]) {
            assert!(table.out.contains(*part), "no `{part}` in {}", table.out);
        }
        for text in [&json.out, &json.err, &table.out, &table.err] {
            assert!(!text.contains(SECRET), "{text}");
        }
        assert_eq!(writes(&emulator), [""; 0], "{reason}");
        assert_understood(&emulator);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_tenant_is_told_with_who_acts() {
    each_is_told(troubled_tenants()).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_mailbox_is_told_with_who_acts() {
    each_is_told(troubled_mailboxes()).await;
}

#[tokio::test]
async fn a_right_that_exchange_gives_is_seen_by_a_mailbox_that_works() {
    let fields = json!({
        "roles": ["User.Read.All", "Place.Read.All", "Domain.Read.All"],
        "exchangeRoles": ["Application Calendars.Read"],
    });
    let emulator = start(&application(fields)).await;
    let checked = check(&emulator, &good(), &["-o", "json"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(checked.state("contoso", "Unauthorized"), "False/Authorized");
    // What the operator would add is not claimed.
    let room = checked.object("room-a");
    let says = &condition(&room, "Ready").unwrap()["message"];
    assert!(
        says.as_str().unwrap().contains("not being watched"),
        "{says}"
    );
}

#[tokio::test]
async fn what_objects_mean_to_each_other_is_told() {
    let emulator = start(&organization()).await;
    let mut objects = good();
    objects.push(room("room-again", "Room-A@contoso.example"));
    let checked = check(&emulator, &objects, &["-o", "json"]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(checked.state("room-a", "Conflict"), "False/NoConflict");
    assert_eq!(checked.state("room-again", "Conflict"), "True/AddressInUse");
    labels_decide_only_where_somebody_tells_them(&emulator).await;
}

async fn labels_decide_only_where_somebody_tells_them(emulator: &Emulator) {
    let allowed = json!({"from": "Selector", "selector": {"matchLabels": {"team": "rooms"}}});
    let tenant = with(
        tenant("contoso"),
        json!({"spec": {"allowedNamespaces": allowed}}),
    );
    let elsewhere = json!({
        "metadata": {"namespace": "rooms"}, "spec": {"tenantRef": {"namespace": "default"}},
    });
    let room = with(room("room-a", "room-a@contoso.example"), elsewhere);
    let mut objects = vec![secret("credential", SECRET), tenant, room];
    let namespace = |team: &str| {
        let metadata = json!({"name": "rooms", "labels": {"team": team}});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    };
    for (labels, code, state) in [
        (None, 3, "Unknown/NotYetKnown"),
        (Some("rooms"), 0, "False/TenantReady"),
        (Some("others"), 1, "True/ReferenceNotPermitted"),
    ] {
        objects.truncate(3);
        objects.extend(labels.map(namespace));
        let checked = check(emulator, &objects, &["-o", "json"]).await;
        assert_eq!(checked.code, Some(code), "{labels:?}: {checked:?}");
        assert_eq!(checked.state("room-a", "TenantNotReady"), state);
    }
    // Every namespace carries its name as a label: that decides without a manifest.
    objects.truncate(3);
    for (name, code, state) in [
        ("rooms", 0, "False/TenantReady"),
        ("others", 1, "True/ReferenceNotPermitted"),
    ] {
        let labels = json!({"kubernetes.io/metadata.name": name, "team": null});
        let change = json!({"spec": {"allowedNamespaces": {"selector": {"matchLabels": labels}}}});
        objects[1] = with(objects[1].clone(), change);
        let checked = check(emulator, &objects, &["-o", "json"]).await;
        assert_eq!(checked.code, Some(code), "{name}: {checked:?}");
        assert_eq!(checked.state("room-a", "TenantNotReady"), state);
    }
}

#[tokio::test]
async fn a_microsoft_that_does_not_answer_is_no_problem_of_the_objects() {
    // The port is held so that nobody else gets it, and nobody listens there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = format!("http://{}", held.local_addr().unwrap());
    let files = Files::of(&good(), &address);
    let checked = files
        .check(&["--allowed-endpoint", &address, "-o", "json"])
        .await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert_eq!(
        checked.state("contoso", "Ready"),
        "False/MicrosoftUnavailable"
    );
    assert_eq!(
        checked.state("contoso", "Unauthorized"),
        "Unknown/Unavailable"
    );
    assert_eq!(checked.state("room-a", "Ready"), "Unknown/TenantNotReady");
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_over() {
    let emulator = start(&organization()).await;
    emulator.set_faults(Faults {
        rules: vec![FaultRule {
            operation: Operation::GetCalendar,
            delay: Some(std::time::Duration::from_mins(1)),
            ..FaultRule::default()
        }],
        ..Faults::default()
    });
    let checked = check(&emulator, &good(), &["--timeout", "3s"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    for part in ["Ready=True Operational", "Time ran out"] {
        assert!(checked.out.contains(part), "no `{part}` in {}", checked.out);
    }
}

#[tokio::test]
async fn a_host_that_nobody_allowed_is_not_called() {
    let emulator = start(&organization()).await;
    let files = Files::of(&good(), &emulator.base_url());
    let checked = files.check(&[]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    for part in [
        "EndpointNotAllowed",
        "--allowed-endpoint",
        "tenant/Stalled.md",
    ] {
        assert!(checked.out.contains(part), "no `{part}` in {}", checked.out);
    }
    assert!(emulator.journal(0).is_empty());
}
