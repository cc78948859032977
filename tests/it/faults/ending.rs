//! What must be true after every fault: each room has exactly one living subscription, which its status names; an
//! operator that starts anew finds nothing to write, and would write the very same; and nobody has said a secret.

use std::collections::BTreeMap;

use graph_emulator::{Faults, Operation, SubscriptionView};
use serde_json::{Value, json};
use testbed::objects::{self, Kind};
use testbed::operator::{OperatorOptions, OperatorProcess};
use testbed::sensitive;
use testbed::testbed::Testbed;

use crate::behaviour::scene::{
    DEADLINE, SECRET, SWEEPING, all_ready, each_has_one, eventually, patch, status_writes,
};

/// How many rooms a test has: enough to be in the midst of something, and hundreds in `make faults`.
pub(super) fn many() -> u32 {
    if std::env::var_os("HYBRID_CALENDAR_FAULTS").is_some() {
        300
    } else {
        40
    }
}

/// What both worlds show.
#[derive(Debug, PartialEq)]
struct Picture {
    statuses: BTreeMap<String, Value>,
    subscriptions: Vec<SubscriptionView>,
}

impl Picture {
    /// Without the answers to requests for a look.
    async fn of(bed: &Testbed) -> Self {
        let mut statuses = BTreeMap::new();
        for kind in [Kind::Tenant, Kind::Mailbox] {
            let all = objects::list(&bed.client, kind, &bed.namespace).await;
            for mut object in all.unwrap() {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                let mut status = object["status"].take();
                if let Some(fields) = status.as_object_mut() {
                    fields.remove("lastHandledReconcileAt");
                }
                statuses.insert(format!("{} {name}", kind.as_str()), status);
            }
        }
        let mut subscriptions = bed.emulator.subscriptions();
        subscriptions.sort_by(|left, right| left.id.cmp(&right.id));
        Self {
            statuses,
            subscriptions,
        }
    }

    fn assert_is(&self, before: &Self) {
        for (object, status) in &before.statuses {
            let now = self.statuses.get(object);
            assert_eq!(now, Some(status), "{object}");
        }
        assert_eq!(self, before);
    }
}

/// Sees that nothing was lost or doubled. `copies` end here, and the testbed's operator is started anew, as it was
/// before anything went wrong.
pub(super) async fn nothing_was_lost(
    bed: &mut Testbed,
    rooms: &[Value],
    copies: Vec<OperatorProcess>,
    before: OperatorOptions,
) {
    bed.emulator.set_faults(Faults::default());
    each_has_one(bed, rooms, 0).await;
    all_ready(bed, u32::try_from(rooms.len()).unwrap()).await;
    says_no_secret(&bed.operator);
    for mut copy in copies {
        says_no_secret(&copy);
        copy.terminate().await.unwrap();
    }
    if bed.operator.ended().unwrap().is_none() {
        bed.operator.terminate().await.unwrap();
    }
    let settled = Picture::of(bed).await;
    let now = bed.emulator.now();
    for subscription in &settled.subscriptions {
        assert!(subscription.expiration_date_time > now, "{subscription:?}");
    }

    let mark = bed.control_plane.audit_mark().await.unwrap();
    let seen = bed.emulator.journal(0).last().map_or(0, |call| call.seq);
    let sweeping = OperatorOptions {
        rehearsal_pace: Some(SWEEPING),
        ..before
    };
    bed.operator.restart_with(sweeping).await.unwrap();
    swept_twice(bed, seen).await;
    let entries = bed.control_plane.audit_since(mark).await.unwrap();
    assert_eq!(status_writes(bed, &entries, ""), [] as [&_; 0]);
    Picture::of(bed).await.assert_is(&settled);

    look_at_all_anew(bed, rooms).await;
    Picture::of(bed).await.assert_is(&settled);
    says_no_secret(&bed.operator);
}

/// When the second sweep begins, the first one has done what follows from its list.
async fn swept_twice(bed: &Testbed, seen: u64) {
    let listed = Operation::ListSubscriptions.to_string();
    bed.wait_until("the fresh operator sweeps again", DEADLINE, async || {
        let calls = bed.emulator.journal(seen);
        calls.iter().filter(|call| call.operation == listed).count() >= 2
    })
    .await
    .unwrap();
}

/// Asks for every check there is, and waits for the answers.
async fn look_at_all_anew(bed: &Testbed, rooms: &[Value]) {
    let at = "when nothing was lost";
    let change = json!({"metadata": {"annotations": {
        "hybridcalendar.dev/reconcile-requested-at": at,
    }}});
    patch(bed, Kind::Tenant, "contoso", &change).await;
    for room in rooms {
        let name = room["metadata"]["name"].as_str().unwrap();
        patch(bed, Kind::Mailbox, name, &change).await;
    }
    eventually(bed, "everything was looked at", DEADLINE, async || {
        for kind in [Kind::Tenant, Kind::Mailbox] {
            let all = objects::list(&bed.client, kind, &bed.namespace).await?;
            let is_answered = |object: &Value| object["status"]["lastHandledReconcileAt"] == at;
            if !all.iter().all(is_answered) {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await;
}

fn says_no_secret(operator: &OperatorProcess) {
    for line in operator.logs() {
        let tells = sensitive::TOKENS.iter().any(|token| line.contains(token));
        let tells = tells || line.contains(SECRET) || sensitive::names_an_address(&line);
        assert!(!tells, "{line}");
    }
}
