//! Control plane, emulator and operator together.

use std::time::Duration;

use graph_emulator::World;
use testbed::objects::Kind;
use testbed::testbed::Testbed;

const DEADLINE: Duration = Duration::from_secs(20);

const WORLD: &str = "
limits: {maxLifetime: 90s, minLifetime: 30s}
tenants:
- id: 5f1d7a9c-1111-4000-8000-000000000001
  domains: [{name: contoso.example, default: true}]
  applications:
  - clientId: 5f1d7a9c-2222-4000-8000-000000000001
    secrets: [{value: testbed-secret-value}]
    roles: [User.Read.All, Calendars.Read, Place.Read.All, Domain.Read.All]
  mailboxes: [{address: room-a@contoso.example, type: room}]
";

const OBJECTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: credential, labels: {hybridcalendar.dev/credential: "true"}}
stringData: {client-secret: testbed-secret-value}
---
apiVersion: hybridcalendar.dev/v1alpha1
kind: CalendarTenant
metadata: {name: contoso}
spec:
  tenantId: 5f1d7a9c-1111-4000-8000-000000000001
  clientId: 5f1d7a9c-2222-4000-8000-000000000001
  endpoints: {login: "${EMULATOR}", graph: "${EMULATOR}"}
  credential: {clientSecret: {secretRef: {name: credential}}}
---
apiVersion: hybridcalendar.dev/v1alpha1
kind: WorkspaceMailbox
metadata: {name: room-a}
spec: {tenantRef: {name: contoso}, address: room-a@contoso.example}
"#;

#[tokio::test]
async fn a_room_is_activated_and_everything_about_it_can_be_seen() {
    let mut bed = Testbed::start(World::from_yaml(WORLD).unwrap())
        .await
        .unwrap();
    bed.apply(OBJECTS).await.unwrap();
    bed.wait_condition(Kind::Tenant, "contoso", "Ready=True/Operational", DEADLINE)
        .await
        .unwrap();
    bed.wait_condition(Kind::Mailbox, "room-a", "Ready=True/Activated", DEADLINE)
        .await
        .unwrap();
    assert_eq!(bed.emulator.subscriptions().len(), 1);
    let writes = bed.control_plane.audit().await.unwrap();
    let user = format!("system:serviceaccount:{0}:{0}", bed.namespace);
    assert!(
        writes
            .iter()
            .any(|entry| entry.user == user && entry.is_status_write())
    );
    let metrics = bed.operator.metrics().await.unwrap();
    assert_eq!(metrics.sum("hybridcalendar_leader", &[]), Some(1.0));
    let refused = bed
        .wait_condition(Kind::Mailbox, "room-a", "Ready=False", Duration::ZERO)
        .await;
    let situation = refused.unwrap_err().to_string();
    for part in ["Activated", "createSubscription", "Events:"] {
        assert!(situation.contains(part), "{part} in {situation}");
    }
    bed.operator.restart().await.unwrap();
}
