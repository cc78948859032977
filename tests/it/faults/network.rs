//! The network between the operator and the API server, or Graph, is cut and hangs.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::cable::Cable;
use testbed::operator::OperatorProcess;
use testbed::testbed::Testbed;
use tokio::time::Instant;

use super::ending::{many, nothing_was_lost};
use super::leader::{activated, owner, slow};
use crate::behaviour::pair::{is_leading, leads};
use crate::behaviour::scene::{
    DEADLINE, SECRET, apply, contoso_with, daily, named, rooms, secret, start, tenant, with,
};

/// Waits until the operator has said this.
pub(super) async fn says(bed: &Testbed, operator: &OperatorProcess, what: &str) {
    let what_for = format!("the operator says {what:?}");
    bed.wait_until(&what_for, DEADLINE, async || {
        operator.logs().iter().any(|line| line.contains(what))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_is_cut_off_from_the_api_server_stops_in_time_and_goes_on_where_it_was() {
    let all = daily(rooms(many()));
    let mut bed = start(&contoso_with(many()), &owner()).await;
    let before = bed.operator.options().clone();
    let server = bed.control_plane.url();
    let cable = Cable::to_url(server).unwrap();
    let mut behind = before.clone();
    behind.kubeconfig = cable.kubeconfig(&before.kubeconfig, server).unwrap();
    bed.operator.terminate().await.unwrap();
    bed.operator.restart_with(behind).await.unwrap();
    leads(&bed, &bed.operator).await;
    let half = all.len() / 2;
    apply(&bed, &all[..half]).await;
    activated(&bed, &all[..half], 2).await;

    // Connections stay open, as behind a firewall that has forgotten them.
    cable.hang();
    let hung = Instant::now();
    apply(&bed, &all[half..]).await;
    bed.wait_until("it leads no more", DEADLINE, async || {
        !is_leading(&bed.operator).await
    })
    .await
    .unwrap();
    let took = hung.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    cable.cut();
    says(&bed, &bed.operator, "cannot reach the Lease").await;
    cable.heal();
    leads(&bed, &bed.operator).await;
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

/// Calls to Graph that came to this.
async fn calls_that(bed: &Testbed, code: &str) -> f64 {
    let metrics = bed.operator.metrics().await.unwrap();
    let name = "hybridcalendar_graph_requests_total";
    metrics.sum(name, &[("code", code)]).unwrap_or_default()
}

/// In the midst of first validations the network breaks in some way, until a call comes to this. Then it is healed.
async fn cut_off_from_graph(cut: fn(&Cable), code: &str) {
    let all = daily(rooms(many()));
    let mut bed = start(&contoso_with(many()), &[secret("credential", SECRET)]).await;
    let graph = bed.emulator.base_url();
    let cable = Cable::to_url(&graph).unwrap();
    let behind = cable.instead_of(&graph, &graph);
    let mut before = bed.operator.options().clone();
    before.allowed_endpoints.push(behind.clone());
    bed.operator.terminate().await.unwrap();
    bed.operator.restart_with(before.clone()).await.unwrap();
    let endpoints = json!({"spec": {"endpoints": {"login": behind, "graph": behind}}});
    let tenant = with(tenant("contoso"), endpoints);
    apply(&bed, &daily(vec![tenant])).await;
    bed.emulator.set_faults(slow());
    apply(&bed, &all).await;
    activated(&bed, &all, 2).await;
    cut(&cable);
    let what = format!("calls end as {code:?}");
    bed.wait_until(&what, DEADLINE, async || calls_that(&bed, code).await > 0.5)
        .await
        .unwrap();
    let named = named(&bed, &all).await;
    assert!(named.contains(&Value::Null), "they were too fast");
    cable.heal();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

#[tokio::test]
async fn who_is_cut_off_from_graph_in_the_midst_of_work_loses_nothing() {
    cut_off_from_graph(Cable::cut, "cut").await;
}

#[tokio::test]
#[ignore = "a call is given up after 25 seconds: make faults"]
async fn whose_calls_to_graph_hang_in_the_midst_of_work_loses_nothing() {
    cut_off_from_graph(Cable::hang, "timeout").await;
}
