//! The API server and its store are killed and started again.

use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::testbed::{Testbed, start_emulator};

use super::ending::{many, nothing_was_lost};
use super::leader::{in_the_midst, owner, slow};
use super::network::says;
use crate::behaviour::scene::{all_ready, apply, contoso_with, daily, rooms, world};

/// A control plane that nobody else uses, until this program ends.
async fn own() -> &'static ControlPlane {
    let own = ControlPlane::start().await.unwrap();
    let own: &'static ControlPlane = Box::leak(Box::new(own));
    own.install_crds(&crds::yaml().unwrap()).await.unwrap();
    own
}

/// An operator on it, and a tenant without rooms.
async fn with_a_tenant(control_plane: &'static ControlPlane) -> Testbed {
    let emulator = start_emulator(world(&contoso_with(many()))).await.unwrap();
    let bed = Testbed::start_on(control_plane, emulator, |_| {}).await;
    let bed = bed.unwrap();
    apply(&bed, &owner()).await;
    bed
}

#[tokio::test]
#[ignore = "it has a control plane of its own: make faults"]
async fn an_api_server_and_an_etcd_that_are_killed_in_the_midst_of_work_cost_nothing_but_time() {
    let control_plane = own().await;
    let mut bed = with_a_tenant(control_plane).await;
    bed.emulator.set_faults(slow());
    let all = daily(rooms(many()));
    apply(&bed, &all).await;
    let done = in_the_midst(&bed, &all, 2).await;
    control_plane.kill_apiserver().await;
    control_plane.start_apiserver().await.unwrap();
    control_plane.ready().await.unwrap();
    let done = in_the_midst(&bed, &all, done).await;
    control_plane.kill_etcd().await;
    control_plane.start_etcd().await.unwrap();
    control_plane.ready().await.unwrap();
    in_the_midst(&bed, &all, done).await;
    let before = bed.operator.options().clone();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

#[tokio::test]
#[ignore = "it has a control plane of its own: make faults"]
async fn an_api_server_whose_certificate_ran_out_is_named_and_used_again_when_it_is_renewed() {
    let control_plane = own().await;
    let mut bed = with_a_tenant(control_plane).await;
    let all = daily(rooms(many()));
    apply(&bed, &all).await;
    all_ready(&bed, many()).await;
    control_plane.kill_apiserver().await;
    control_plane.certify(2020).unwrap();
    control_plane.start_apiserver().await.unwrap();
    says(&bed, &bed.operator, "certificate expired").await;
    control_plane.kill_apiserver().await;
    control_plane.certify(2099).unwrap();
    control_plane.start_apiserver().await.unwrap();
    control_plane.ready().await.unwrap();
    let before = bed.operator.options().clone();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
}

#[tokio::test]
#[ignore = "it has a control plane of its own: make faults"]
async fn an_api_server_that_streams_no_lists_any_more_is_read_in_pages() {
    let control_plane = own().await;
    let mut bed = with_a_tenant(control_plane).await;
    let all = daily(rooms(many()));
    apply(&bed, &all).await;
    all_ready(&bed, many()).await;
    let said = bed.operator.logs();
    assert!(!said.iter().any(|line| line.contains("in pages")));
    control_plane.kill_apiserver().await;
    control_plane.stream_lists(false);
    control_plane.start_apiserver().await.unwrap();
    control_plane.ready().await.unwrap();
    let before = bed.operator.options().clone();
    nothing_was_lost(&mut bed, &all, Vec::new(), before).await;
    says(&bed, &bed.operator, "the list cannot be streamed").await;
}
