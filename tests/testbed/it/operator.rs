//! The operator's process in our hands.

use std::time::Duration;

use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use testbed::operator::{self, OperatorOptions, OperatorProcess};
use testbed::{archive, crds, wait};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_operator_with_the_rights_it_asks_for_lives_and_ends_when_told() {
    let cluster = ControlPlane::shared().await.unwrap();
    crds::install(cluster).await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let account = format!("--service-account={namespace}/{namespace}");
    let scope = format!("--namespace={namespace}");
    let rbac = operator::rbac(&[account, scope]).await.unwrap();
    cluster.apply(&namespace, &rbac).await.unwrap();
    let kubeconfig = cluster
        .service_account(&namespace, &namespace, &Rights::default())
        .await
        .unwrap();
    let mut operator = OperatorProcess::spawn(OperatorOptions {
        kubeconfig,
        namespaces: vec![namespace.clone()],
        environment: vec![("POD_NAMESPACE".to_owned(), namespace)],
        ..OperatorOptions::default()
    })
    .await
    .unwrap();
    wait::until("metrics are served", DEADLINE, async || {
        operator.metrics().await.is_ok()
    })
    .await
    .unwrap();
    operator.pause().unwrap();
    operator.resume().unwrap();
    let status = operator.terminate().await.unwrap();
    assert!(status.success(), "{status}: {:#?}", operator.logs());
}

#[tokio::test]
async fn an_operator_that_refuses_its_flags_says_why_in_its_log() {
    let mut operator = OperatorProcess::spawn(OperatorOptions {
        notification_url: Some("http://elsewhere.example".to_owned()),
        ..OperatorOptions::default()
    })
    .await
    .unwrap();
    let error = operator.ready().await.unwrap_err().to_string();
    assert!(error.contains("elsewhere.example"), "{error}");
    let logs = std::fs::read_to_string(archive::path(archive::LOGS).unwrap()).unwrap();
    assert!(logs.contains("elsewhere.example"));
}
