//! Two copies of one installation.

use serde_json::Value;
use testbed::operator::{OperatorOptions, OperatorProcess};
use testbed::ports;
use testbed::testbed::Testbed;

use super::scene::{DEADLINE, world};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// One that leads, and a copy that stands by, to which Graph sends everything.
pub(crate) async fn leader_and_copy(
    organization: &Value,
    configure: impl FnOnce(&mut OperatorOptions),
) -> (Testbed, OperatorProcess) {
    let port = ports::free().unwrap();
    let bed = Testbed::start_with(world(organization), |options| {
        options.notification_url = Some(format!("http://127.0.0.1:{port}"));
        options.advertise_address = Some(LOOPBACK.into());
        configure(options);
    })
    .await
    .unwrap();
    leads(&bed, &bed.operator).await;
    let url = bed.operator.options().notification_url.clone();
    let copy = bed.other_operator("copy", |options| {
        options.notification_url = url;
        options.receiver_listen = Some((LOOPBACK, port).into());
    });
    let copy = copy.await.unwrap();
    (bed, copy)
}

/// Waits until a copy leads.
pub(crate) async fn leads(bed: &Testbed, operator: &OperatorProcess) {
    bed.wait_until("the copy leads", DEADLINE, async || {
        is_leading(operator).await
    })
    .await
    .unwrap();
}

pub(crate) async fn is_leading(operator: &OperatorProcess) -> bool {
    let metrics = operator.metrics().await.unwrap();
    metrics.sum("hybridcalendar_leader", &[]) == Some(1.0)
}
