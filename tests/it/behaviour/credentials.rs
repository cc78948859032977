//! What a tenant's credential, consent and permissions do to it and to its mailboxes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;
use graph_emulator::World;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use testbed::objects::Kind;
use testbed::testbed::Testbed;

use super::scene::{
    SECRET, SOON, TENANT, apply, assert_one_problem, contoso, good, mailbox_is, message, request,
    room, secret, since, start, state, status_writes, tenant, tenant_is, warning, with, world,
};

const FABRIKAM: &str = "5f1d7a9c-1111-4000-8000-000000000002";

/// The ways in which a tenant can be refused, each under the name of its tenant, Secret and room.
const WITHOUT_TOKEN: [(&str, &str); 6] = [
    ("wrong", "InvalidClientSecret"),
    ("expired", "ClientSecretExpired"),
    ("certificate", "CertificateRejected"),
    ("application", "ApplicationNotFound"),
    ("directory", "TenantNotFound"),
    ("unlabelled", "SecretNotOffered"),
];
const WITHOUT_PERMISSION: [(&str, &str); 2] = [
    ("consent", "ConsentRequired"),
    ("permission", "PermissionMissing"),
];

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    WITHOUT_TOKEN.into_iter().chain(WITHOUT_PERMISSION)
}

fn client(position: usize) -> String {
    format!("5f1d7a9c-2222-4000-8000-{position:012}")
}

fn address(name: &str) -> String {
    match name {
        "directory" => "directory@fabrikam.example".to_owned(),
        _ => format!("{name}@contoso.example"),
    }
}

/// A certificate as a `kubernetes.io/tls` Secret holds it.
struct Certificate {
    pem: String,
    key: String,
}

impl Certificate {
    fn new() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let parameters = CertificateParams::new(Vec::new()).unwrap();
        Self {
            pem: parameters.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn secret(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "labels": {"hybridcalendar.dev/credential": "true"}},
            "stringData": {"tls.crt": self.pem, "tls.key": self.key},
        })
    }
}

/// An application and a room for each way, in two organizations.
fn organizations(certificate: &Certificate) -> Value {
    let mut world = contoso();
    let mut directories = [world["tenants"][0].clone(), world["tenants"][0].clone()];
    let template = directories[0]["applications"][0].clone();
    directories[1]["id"] = json!(FABRIKAM);
    directories[1]["domains"] = json!([{"name": "fabrikam.example", "default": true}]);
    for directory in &mut directories {
        directory["applications"] = json!([]);
        directory["mailboxes"] = json!([]);
    }
    for (position, (name, _)) in all().enumerate() {
        let directory = &mut directories[usize::from(name == "directory")];
        let credential = match name {
            "certificate" => json!({"secrets": [], "certificates": [{"pem": certificate.pem}]}),
            _ => json!({"secrets": [{"value": format!("{SECRET}-{name}")}]}),
        };
        let own = with(json!({"clientId": client(position)}), credential);
        let mailbox = json!({"address": address(name), "type": "room"});
        let push = |list: &mut Value, item| list.as_array_mut().unwrap().push(item);
        push(&mut directory["applications"], with(template.clone(), own));
        push(&mut directory["mailboxes"], mailbox);
    }
    world["tenants"] = json!(directories);
    world
}

/// Secret, tenant and room for each way.
fn objects(certificate: &Certificate) -> Vec<Value> {
    let mut objects = Vec::new();
    for (position, (name, _)) in all().enumerate() {
        let credential = json!({"secretRef": {"name": name}});
        let (secret, credential) = match name {
            "certificate" => (certificate.secret(name), json!({"certificate": credential})),
            _ => (
                secret(name, &format!("{SECRET}-{name}")),
                json!({"clientSecret": credential}),
            ),
        };
        let directory = match name {
            "directory" => FABRIKAM,
            _ => TENANT,
        };
        let spec = json!({"spec": {
            "tenantId": directory, "clientId": client(position), "credential": null,
        }});
        let own = with(tenant(name), spec);
        let reference = json!({"spec": {"tenantRef": {"name": name}}});
        objects.push(secret);
        objects.push(with(own, json!({"spec": {"credential": credential}})));
        objects.push(with(room(name, &address(name)), reference));
    }
    objects
}

/// What goes wrong at Microsoft.
fn spoil(world: &mut World) {
    let position = |name| all().position(|(known, _)| known == name).unwrap();
    world.tenants.retain(|tenant| tenant.id != FABRIKAM);
    let applications = &mut world.tenant_mut(TENANT).unwrap().applications;
    applications.retain(|application| application.client_id != client(position("application")));
    for application in applications {
        if application.client_id == client(position("expired")) {
            application.secrets[0].expires_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        } else if application.client_id == client(position("consent")) {
            application.roles.clear();
        } else if application.client_id == client(position("permission")) {
            application.roles.retain(|role| role != "Place.Read.All");
        }
    }
}

/// What goes wrong in the cluster.
async fn spoil_secrets(bed: &Testbed) {
    apply(bed, &[secret("wrong", "not-the-client-secret")]).await;
    apply(bed, &[Certificate::new().secret("certificate")]).await;
    let label = json!({"metadata": {"labels": {"hybridcalendar.dev/credential": null}}});
    apply(
        bed,
        &[with(
            secret("unlabelled", "behaviour-client-secret-unlabelled"),
            label,
        )],
    )
    .await;
}

/// A tenant that is refused says so, once, and everything that depends on it waits.
async fn assert_refused(bed: &Testbed, name: &str, reason: &str) -> Value {
    let found = tenant_is(bed, name, &format!("Unauthorized=True/{reason}")).await;
    assert_one_problem(&found, "Unauthorized", reason);
    let note = warning(bed, name, reason).await;
    assert!(!note.contains('@'), "{note}");
    found
}

const CHECKS: [&str; 6] = [
    "Conflict",
    "DomainMismatch",
    "MailboxNotFound",
    "AddressMismatch",
    "Unauthorized",
    "SubscriptionInactive",
];

/// A room whose tenant has no token says just that, after the grace, and keeps what was known of it.
async fn assert_waiting(bed: &Testbed, before: &Value, refused: &Value) {
    let name = before["metadata"]["name"].as_str().unwrap();
    let waiting = mailbox_is(bed, name, "TenantNotReady=True/TenantUnauthorized").await;
    assert_eq!(state(&waiting, "Ready"), "False/TenantNotReady");
    for check in CHECKS {
        assert_eq!(state(&waiting, check), state(before, check), "{name}");
    }
    let kept = &waiting["status"]["subscription"];
    assert_eq!(*kept, before["status"]["subscription"], "{name}");
    assert_eq!(state(&waiting, "Stalled"), "absent", "{name}");
    assert_eq!(state(&waiting, "Reconciling"), "True/Progressing");
    let grace = since(&waiting, "TenantNotReady").duration_since(since(refused, "Unauthorized"));
    // Five minutes at pace 60, each end cut to whole seconds.
    assert!((4..=10).contains(&grace.as_secs()), "{name}: {grace}");
}

#[tokio::test]
async fn each_refusal_has_its_own_name_and_reaches_mailboxes_only_without_a_token_after_the_grace()
{
    let certificate = Certificate::new();
    let organization = organizations(&certificate);
    let bed = start(&organization, &objects(&certificate)).await;
    let mut rooms = BTreeMap::new();
    for (name, _) in all() {
        rooms.insert(name, mailbox_is(&bed, name, "Ready=True/Activated").await);
        tenant_is(&bed, name, "Ready=True/Operational").await;
    }

    bed.emulator.update_world(spoil).unwrap();
    spoil_secrets(&bed).await;
    for (name, _) in all() {
        request(&bed, Kind::Tenant, name, "broken").await;
    }
    let mut refused = BTreeMap::new();
    for (name, reason) in all() {
        refused.insert(name, assert_refused(&bed, name, reason).await);
    }
    for (name, reason) in WITHOUT_TOKEN {
        let found = &refused[name];
        assert_eq!(state(found, "Stalled"), format!("True/{reason}"));
        assert_eq!(found["status"]["observedGeneration"], 1);
        assert_eq!(state(found, "DomainMismatch"), "Unknown/Blocked");
        assert_waiting(&bed, &rooms[name], found).await;
    }
    for (name, reason) in WITHOUT_PERMISSION {
        // Consent takes its time to spread, so it is not final at first.
        let stalled = tenant_is(&bed, name, &format!("Stalled=True/{reason}")).await;
        let patience = since(&stalled, "Stalled").duration_since(since(&stalled, "Unauthorized"));
        assert!((9..=20).contains(&patience.as_secs()), "{patience}");
        let untouched = bed.get_mailbox(name).await.unwrap();
        assert_eq!(untouched["status"], rooms[name]["status"], "{name}");
    }
    assert!(message(&refused["permission"], "Unauthorized").contains("Place.Read.All"));

    apply(&bed, &objects(&certificate)).await;
    let cleared = "TenantNotReady=False/TenantReady";
    let corrected = ["wrong", "certificate", "unlabelled"];
    let waits = corrected.map(|name| bed.wait_condition(Kind::Mailbox, name, cleared, SOON));
    try_join_all(waits).await.unwrap();
    bed.emulator.set_world(world(&organization)).unwrap();
    for (name, _) in all() {
        tenant_is(&bed, name, "Ready=True/Operational").await;
        mailbox_is(&bed, name, cleared).await;
    }
}

#[tokio::test]
async fn a_corrected_secret_makes_everything_ready_within_seconds_in_the_same_process() {
    let mut bed = start(&contoso(), &good()).await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let before = bed.emulator.subscriptions();

    apply(&bed, &[secret("credential", "not-the-client-secret")]).await;
    tenant_is(&bed, "contoso", "Unauthorized=True/InvalidClientSecret").await;
    let waiting = mailbox_is(&bed, "room-a", "TenantNotReady=True/TenantUnauthorized").await;
    assert_eq!(state(&waiting, "Ready"), "False/TenantNotReady");

    apply(&bed, &[secret("credential", SECRET)]).await;
    try_join!(
        bed.wait_condition(Kind::Tenant, "contoso", "Ready=True/Operational", SOON),
        bed.wait_condition(Kind::Mailbox, "room-a", "Ready=True/Activated", SOON),
    )
    .unwrap();
    assert_eq!(bed.emulator.subscriptions(), before);
    assert!(bed.operator.ended().unwrap().is_none());
}

#[tokio::test]
async fn rights_that_exchange_gives_need_no_consent_in_entra() {
    let mut organization = contoso();
    let application = &mut organization["tenants"][0]["applications"][0];
    application["roles"] = json!(["User.Read.All", "Place.Read.All", "Domain.Read.All"]);
    application["exchangeRoles"] = json!(["Application Calendars.Read"]);
    // Nothing but Exchange's rights: a tenant that still has something to ask for, but not consent to everything.
    let bare = "5f1d7a9c-2222-4000-8000-000000000002";
    let exchange_only = with(
        application.clone(),
        json!({"clientId": bare, "roles": [], "secrets": [{"value": SECRET}]}),
    );
    let applications = &mut organization["tenants"][0]["applications"];
    applications.as_array_mut().unwrap().push(exchange_only);
    let bed = start(&organization, &good()[..2]).await;
    // Without a mailbox nothing can prove the right.
    let unproven = tenant_is(&bed, "contoso", "Unauthorized=True/PermissionMissing").await;
    assert!(message(&unproven, "Unauthorized").contains("RBAC for Applications"));

    apply(&bed, &good()[2..]).await;
    let proven = tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    assert_eq!(state(&proven, "Unauthorized"), "False/Authorized");
    assert_eq!(proven["status"]["permissions"]["missing"], json!([]));
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;

    let reference = json!({"spec": {"tenantRef": {"name": "bare"}}});
    let objects = [
        with(tenant("bare"), json!({"spec": {"clientId": bare}})),
        with(room("room-b", "room-b@contoso.example"), reference),
    ];
    apply(&bed, &objects).await;
    let bare = tenant_is(&bed, "bare", "Unauthorized=True/PermissionMissing").await;
    assert!(message(&bare, "Unauthorized").contains("Domain.Read.All"));
}

/// From the first to the last of these writes.
fn spread(times: &[Timestamp]) -> Duration {
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    last.duration_since(*first).unsigned_abs()
}

#[tokio::test]
async fn many_mailboxes_lose_and_get_their_tenant_back_spread_over_time() {
    const ROOMS: usize = 150;
    let mut organization = contoso();
    let generate = json!({"rooms": ROOMS, "prefix": "many-", "domain": "contoso.example"});
    organization["tenants"][0]["generate"] = generate;
    let mut objects = good()[..2].to_vec();
    objects.extend((1..=ROOMS).map(|number| {
        let name = format!("many-{number:06}");
        room(&name, &format!("{name}@contoso.example"))
    }));
    let bed = start(&organization, &objects).await;
    let everyone = async |expected: &str| {
        let expected = testbed::objects::Expected::parse(expected).unwrap();
        let what = format!("all rooms have {expected}");
        bed.wait_until(&what, Duration::from_mins(2), async || {
            let rooms = testbed::objects::list(&bed.client, Kind::Mailbox, &bed.namespace).await;
            rooms.is_ok_and(|rooms| rooms.iter().all(|room| expected.holds(room)))
        })
        .await
        .unwrap();
    };
    everyone("Ready=True/Activated").await;
    for (value, expected) in [
        (
            "not-the-client-secret",
            "TenantNotReady=True/TenantUnauthorized",
        ),
        (SECRET, "TenantNotReady=False/TenantReady"),
    ] {
        let mark = bed.control_plane.audit_mark().await.unwrap();
        apply(&bed, &[secret("credential", value)]).await;
        everyone(expected).await;
        let entries = bed.control_plane.audit_since(mark).await.unwrap();
        let writes = status_writes(&bed, &entries, "");
        let writes = writes
            .iter()
            .filter(|entry| entry.name.starts_with("many-"));
        let times: Vec<_> = writes.map(|entry| entry.time).collect();
        assert_eq!(times.len(), ROOMS, "one write each");
        // At most 50 a second are three seconds; less than that allows for a slow start.
        let spread = spread(&times);
        assert!(spread >= Duration::from_secs(2), "{expected}: {spread:?}");
    }
}
