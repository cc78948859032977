//! The chart with its emulator: both pods run, and speak HTTPS with each other by the chart's own CA.

use serde_json::json;
use testbed::helm::chart;
use testbed::objects::Kind;
use testbed::sensitive;
use testbed::service::ServicePort;

use super::installation::{Ground, PATIENT};
use crate::behaviour::scene::{room, secret, tenant, with};

/// As the chart's own values have it.
const SECRET: &str = "demo-secret";

#[tokio::test]
async fn a_rehearsal_that_the_chart_installs_reaches_ready_over_https() {
    let ground = Ground::among_others().await;
    let service = format!("{}-emulator", ground.name);
    let emulator = ServicePort::start(&ground.cluster, &ground.namespace, &service, "graph");
    let microsoft = format!("https://{}", emulator.as_ref().unwrap().address());
    let values = with(
        ground.values(),
        json!({
            "notificationUrl": format!("https://{}", ground.service.address()),
            "emulator": {"enabled": true},
            "allowedEndpoints": [microsoft],
            // The emulator's Service has a name, which a rehearsal in haste does not allow.
            "extraArgs": [],
        }),
    );
    let installed = ground.release.install(chart(), &values, &PATIENT).await;
    ground.or_explain(installed).await;
    let endpoints = json!({"login": microsoft, "graph": microsoft});
    let objects = [
        secret("credential", SECRET),
        with(tenant("contoso"), json!({"spec": {"endpoints": endpoints}})),
        room("room-a", "room-a@contoso.example"),
    ];
    ground.apply(&objects).await;
    ground
        .is(Kind::Mailbox, "room-a", "Ready=True/Activated")
        .await;
    ground
        .is(Kind::Tenant, "contoso", "Ready=True/Operational")
        .await;
    let kept = sensitive::remember_namespace(&ground.client, &ground.namespace);
    kept.await.unwrap();
}
