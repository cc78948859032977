//! The core's tests on operators that the chart installed: these few here, all of them by `make test-chart`.

use std::process::Stdio;

use tokio::process::Command;

/// Of each kind of thing that permissions, flags or the pod could spoil: conditions, tokens, deletions, crashes, TLS,
/// and other namespaces.
const REPRESENTATIVE: [&str; 6] = [
    "access::a_service_account_that_is_offered_gets_a_token_from_the_real_api_server",
    "access::labels_of_a_namespace_decide_at_once_who_may_refer_to_a_tenant",
    "activation::a_good_tenant_and_a_good_room_are_ready_within_seconds_by_one_write",
    "crashes::a_crash_between_a_create_and_its_status_leaves_exactly_one_subscription",
    "deletion::what_is_deleted_together_with_its_tenant_and_secret_is_removed_at_once",
    "notifications::notifications_come_over_tls_and_a_new_certificate_is_served_without_a_restart",
];

#[tokio::test]
async fn what_the_chart_installs_behaves_as_the_operator_does() {
    let tests = REPRESENTATIVE.map(|name| format!("behaviour::{name}"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads=4"])
        .args(&tests)
        .env("HYBRID_CALENDAR_TESTS_INSTALL", "chart")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} passed", tests.len());
    assert!(output.status.success() && said.contains(&all), "{said}");
}
