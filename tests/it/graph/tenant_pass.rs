//! Whole passes over a tenant against the emulator: what is wrong there is what the status says.

use std::convert::Infallible;

use graph_emulator::Emulator;
use http::{Request, Response};
use hybrid_calendar_operator::api::v1alpha1::condition::ConditionStatus;
use hybrid_calendar_operator::api::v1alpha1::tenant::CalendarTenantStatus;
use hybrid_calendar_operator::api::vocabulary::TENANT as CONDITIONS;
use hybrid_calendar_operator::clock::Clock;
use hybrid_calendar_operator::controller::tenant::observe::{Edge, Link, observe};
use hybrid_calendar_operator::domain::conditions::find;
use hybrid_calendar_operator::domain::endpoints::{AllowedEndpoints, Microsoft};
use hybrid_calendar_operator::domain::notification_url::EndpointVerdict;
use hybrid_calendar_operator::domain::records::TenantRecord;
use hybrid_calendar_operator::domain::schedule::Pace;
use hybrid_calendar_operator::domain::tenant::desired::TenantDesired;
use hybrid_calendar_operator::domain::tenant::facts::TenantFacts;
use hybrid_calendar_operator::domain::tenant::memory::TenantMemory;
use hybrid_calendar_operator::domain::tenant::observed::TenantObserved;
use hybrid_calendar_operator::domain::tenant::snapshot::{Mailboxes, TenantSnapshot};
use hybrid_calendar_operator::domain::tenant::status::status;
use hybrid_calendar_operator::domain::tenant::work::Work;
use hybrid_calendar_operator::ids::{ObjectKey, Uid};
use kube::client::Body;
use serde_json::{Value, json};

use super::setting::{
    CLIENT, SECRET, TENANT, assert_understood, contoso, contoso_with_application, gateway, start,
};

/// A cluster whose every Secret holds this client secret.
fn cluster(secret: &str) -> kube::Client {
    let data = k8s_openapi::ByteString(secret.as_bytes().to_vec());
    let object = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "graph", "labels": {"hybridcalendar.dev/credential": "true"}},
        "data": {"client-secret": data},
    });
    let service = tower::service_fn(move |_: Request<Body>| {
        let body = Body::from(object.to_string().into_bytes());
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    kube::Client::new(service, "calendars")
}

/// The status after one pass.
async fn pass(emulator: &Emulator, more: &Value, secret: &str) -> CalendarTenantStatus {
    let base = emulator.base_url();
    let mut spec = json!({
        "tenantId": TENANT, "clientId": CLIENT,
        "credential": {"clientSecret": {"secretRef": {"name": "graph"}}},
        "endpoints": {"login": base, "graph": base},
    });
    let fields = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    let now = Clock::system().now();
    let record = TenantRecord {
        key: ObjectKey::new("calendars", "contoso"),
        uid: Uid::parse("0b2c7a9c-3333-4000-8000-000000000001").unwrap(),
        generation: 1,
        resource_version: "1".into(),
        created_at: now,
        requested_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: CalendarTenantStatus::default(),
    };
    let allowed = AllowedEndpoints::new(&[base.parse().unwrap()], Microsoft::Refused);
    let desired = TenantDesired::from_spec("calendars", &record.spec, &allowed);
    let start = TenantSnapshot {
        record: &record,
        desired: &desired,
        facts: &TenantFacts::default(),
        memory: &TenantMemory::new(now, now),
        work: Work::ALL,
        observed: &TenantObserved::default(),
        endpoint: EndpointVerdict::default(),
        mailboxes: &Mailboxes::default(),
        now,
        pace: Pace::REAL,
    };
    let mut edge = Edge {
        offers: &cluster(secret),
        gateway: &gateway(),
        key: &record.key,
        link: &mut Link::default(),
    };
    let observed = observe(&mut edge, &start).await;
    status(&start.with(&observed))
}

fn problems(status: &CalendarTenantStatus) -> Vec<String> {
    CONDITIONS
        .iter()
        .filter_map(|meta| find(&status.conditions, meta.type_))
        .filter(|c| c.status == ConditionStatus::True)
        .map(|c| format!("{}/{}", c.type_, c.reason))
        .collect()
}

fn with_probes() -> Value {
    json!({
        "testMailbox": "room-b@contoso.example",
        "isolationProbe": {"mailbox": "ceo@contoso.example"},
    })
}

#[tokio::test]
async fn a_good_tenant_passes_every_check_and_leaves_no_event_behind() {
    let world = contoso_with_application(&json!({"denied": ["ceo@contoso.example"]}));
    let emulator = start(&world).await;
    let status = pass(&emulator, &with_probes(), SECRET).await;
    assert_eq!(problems(&status), [""; 0], "{status:?}");
    assert_eq!(status.observed_generation, Some(1), "{status:?}");
    assert_eq!(status.organization.unwrap().display_name, "Contoso");
    let domains: Vec<_> = status
        .domains
        .iter()
        .map(|d| (d.name.as_str(), d.verified))
        .collect();
    assert_eq!(
        domains,
        [
            ("contoso.example", true),
            ("contoso.onmicrosoft.com", true),
            ("old.example", false)
        ]
    );
    let statuses: Vec<u16> = emulator
        .journal(0)
        .iter()
        .filter(|entry| entry.path.contains("/events"))
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [201, 200, 204], "created, read, deleted");
    assert_understood(&emulator);
}

type Case = (Value, Value, &'static str, &'static str);

async fn each_shows_as_its_one_problem(cases: impl IntoIterator<Item = Case>) {
    for (world, spec, secret, expected) in cases {
        let emulator = start(&world).await;
        let status = pass(&emulator, &spec, secret).await;
        let mut found = problems(&status);
        // Without a test mailbox nothing needs Calendars.ReadWrite, which the sample application has.
        found.retain(|problem| !problem.starts_with("PermissionsExcessive"));
        assert_eq!(found, [expected], "{status:?}");
        assert_understood(&emulator);
    }
}

#[tokio::test]
async fn why_there_is_no_token_is_what_the_status_names() {
    let application = |fields: Value| contoso_with_application(&fields);
    let no = || json!({});
    each_shows_as_its_one_problem([
        (contoso(), no(), "wrong", "Unauthorized/InvalidClientSecret"),
        (
            contoso(),
            json!({"clientId": TENANT}),
            SECRET,
            "Unauthorized/ApplicationNotFound",
        ),
        (
            contoso(),
            json!({"tenantId": CLIENT}),
            SECRET,
            "Unauthorized/TenantNotFound",
        ),
        (
            application(json!({"disabled": true})),
            no(),
            SECRET,
            "Unauthorized/ApplicationDisabled",
        ),
        (
            application(json!({"blockedByPolicy": true})),
            no(),
            SECRET,
            "Unauthorized/BlockedByPolicy",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_missing_permission_is_what_the_status_names() {
    let roles = |roles: &[&str]| contoso_with_application(&json!({"roles": roles}));
    let without_places = ["User.Read.All", "Calendars.Read", "Domain.Read.All"];
    let no_features = json!({"features": []});
    let no = || json!({});
    each_shows_as_its_one_problem([
        (roles(&[]), no(), SECRET, "Unauthorized/ConsentRequired"),
        (
            roles(&without_places),
            no(),
            SECRET,
            "Unauthorized/PermissionMissing",
        ),
        (
            roles(&["Calendars.Read"]),
            no_features,
            SECRET,
            "Unauthorized/PermissionMissing",
        ),
        (
            contoso(),
            with_probes(),
            SECRET,
            "AccessUnrestricted/IsolationProbeReadable",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_domain_or_test_mailbox_is_what_the_status_names() {
    let domain = |name: &str| json!({"domains": [name]});
    let test = |mailbox: &str| json!({"testMailbox": mailbox});
    each_shows_as_its_one_problem([
        (
            contoso(),
            domain("old.example"),
            SECRET,
            "DomainMismatch/DomainNotVerified",
        ),
        (
            contoso(),
            domain("fabrikam.example"),
            SECRET,
            "DomainMismatch/DomainNotInTenant",
        ),
        (
            contoso(),
            test("nobody@contoso.example"),
            SECRET,
            "TestMailboxFailed/MailboxNotFound",
        ),
        (
            contoso(),
            test("legacy@contoso.example"),
            SECRET,
            "TestMailboxFailed/NotLicensed",
        ),
    ])
    .await;
}
