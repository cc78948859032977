//! What happens while the API server takes no status of a mailbox, and all else.

use graph_emulator::Operation;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testbed::objects::Kind;
use testbed::testbed::Testbed;

use super::scene::{
    DEADLINE, eventually, mark, only_subscription, room_address, room_name, subscriptions,
};
use super::subscriptions::living;

/// A policy that refuses every status of a mailbox of the test, as a webhook does that cannot be reached.
fn policy(bed: &Testbed) -> String {
    let namespace = &bed.namespace;
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [hybridcalendar.dev], apiVersions: ["*"], operations: [UPDATE], resources: [workspacemailboxes/status]}}
  validations: [{{expression: "false"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec: {{policyName: {namespace}, validationActions: [Deny]}}
"#
    )
}

/// From now on statuses of mailboxes are refused.
async fn refuse_statuses(bed: &Testbed) {
    bed.apply(&policy(bed)).await.unwrap();
    let api = Kind::Mailbox.api(&bed.client, &bed.namespace);
    let probe = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let change = Patch::Merge(json!({"status": {"observedGeneration": 1}}));
    eventually(bed, "statuses are refused", DEADLINE, async || {
        Ok(api
            .patch_status(&room_name(1), &probe, &change)
            .await
            .is_err())
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_no_status_can_name_yet_is_kept_by_sweeps() {
    let bed = living(2, "160h").await;
    let before = only_subscription(&bed, &room_address(1)).id;
    refuse_statuses(&bed).await;
    let start = mark(&bed);
    bed.emulator.remove_subscription(&before, true).unwrap();
    eventually(&bed, "another one is made", DEADLINE, async || {
        Ok(!subscriptions(&bed, &room_address(1)).is_empty())
    })
    .await;
    let made = only_subscription(&bed, &room_address(1)).id;

    let sweeps = mark(&bed);
    let listed = Operation::ListSubscriptions.to_string();
    eventually(
        &bed,
        "it is swept several times",
        2 * DEADLINE,
        async || {
            let calls = bed.emulator.journal(sweeps);
            Ok(calls.iter().filter(|call| call.operation == listed).count() >= 4)
        },
    )
    .await;
    assert_eq!(only_subscription(&bed, &room_address(1)).id, made);
    let room = bed.get_mailbox(&room_name(1)).await.unwrap();
    assert_eq!(
        room["status"]["subscription"]["id"], *before,
        "no status was taken"
    );

    bed.apply(&policy(&bed).replace(r#""false""#, r#""true""#))
        .await
        .unwrap();
    eventually(&bed, "the status names it", DEADLINE, async || {
        let room = bed.get_mailbox(&room_name(1)).await?;
        Ok(room["status"]["subscription"]["id"] == *made)
    })
    .await;
    let created = Operation::CreateSubscription.to_string();
    let calls = bed.emulator.journal(start);
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.operation == created)
            .count(),
        1
    );
}
