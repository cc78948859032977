//! `WorkspaceMailbox`: one room or user mailbox whose calendar must work.

#![expect(
    unreachable_pub,
    reason = "the schema derive expands to copies in private scopes"
)]

use std::sync::Arc;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::condition::{self, Condition};
use super::rules;
use super::time::Time;
use crate::ids::{KeyId, MailboxId, SubscriptionId, Uid};

/// What is declared about a mailbox.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hybridcalendar.dev",
    version = "v1alpha1",
    kind = "WorkspaceMailbox",
    plural = "workspacemailboxes",
    shortname = "wm",
    category = "all",
    category = "hybridcalendar",
    namespaced,
    status = "WorkspaceMailboxStatus",
    derive = "PartialEq",
    doc = "One room or user mailbox whose calendar must work, with one change-notification subscription.",
    selectable = ".spec.tenantRef.name",
    selectable = ".spec.address",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.subscription.expiresAt",
        description = "When the subscription ends unless it is renewed."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceMailboxSpec {
    /// The CalendarTenant that the mailbox belongs to. Immutable.
    #[x_kube(validation = rules::immutable("spec.tenantRef", "Delete this WorkspaceMailbox and create one with the other tenant."))]
    pub tenant_ref: TenantRef,

    /// The mailbox's primary SMTP address. May change: the old mailbox's subscription is then removed.
    #[x_kube(validation = rules::one_address("spec.address"))]
    #[schemars(length(max = 320))]
    pub address: Arc<str>,

    /// Room, or User for the mailbox of a person.
    #[serde(default, rename = "type")]
    pub type_: MailboxType,

    /// The change-notification subscription.
    #[serde(default)]
    pub subscription: MailboxSubscription,

    /// How often everything is checked again: 5m to 24h.
    #[serde(default = "default_check_interval")]
    #[x_kube(validation = rules::duration("spec.checkInterval", "5m", "24h"))]
    #[schemars(length(max = 20))]
    pub check_interval: Arc<str>,

    /// Stops all calls for this mailbox. Its subscription is left to itself.
    #[serde(default)]
    pub suspend: bool,
}

/// A reference to a CalendarTenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct TenantRef {
    /// Name of the CalendarTenant.
    #[x_kube(validation = rules::object_name("spec.tenantRef.name", "CalendarTenant"))]
    #[schemars(length(min = 1, max = 253))]
    pub name: Arc<str>,
    /// Its namespace, when it is another one. The tenant's spec.allowedNamespaces must then admit this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::namespace_name("spec.tenantRef.namespace"))]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<Arc<str>>,
}

/// What a mailbox stands for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum MailboxType {
    /// A meeting room.
    #[default]
    Room,
    /// A person.
    User,
}

/// The change-notification subscription of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct MailboxSubscription {
    /// Whether there is one. Set to false to remove it and go on checking.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Requested life instead of the tenant's: 45m to 10070m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("spec.subscription.lifetime", "45m", "10070m"))]
    #[schemars(length(max = 20))]
    pub lifetime: Option<Arc<str>>,
}

impl Default for MailboxSubscription {
    fn default() -> Self {
        Self {
            enabled: true,
            lifetime: None,
        }
    }
}

const fn default_true() -> bool {
    true
}

fn default_check_interval() -> Arc<str> {
    "1h".into()
}

/// What the operator found out about a mailbox, and the subscription that it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceMailboxStatus {
    /// The generation that is Ready, Stalled or suspended; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What was looked at and found: Ready sums up, every other type names a problem.
    #[serde(default, skip_serializing_if = "condition::none_is_there")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Arc<[Condition]>,
    /// The mailbox that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Mailbox>,
    /// The subscription that is kept alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// When this very mailbox first worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// What happened, newest first, at most 20 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub history: Vec<HistoryEntry>,
    /// The last value of hybridcalendar.dev/reconcile-requested-at that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<Arc<str>>,
}

/// A mailbox as the directory knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mailbox {
    /// Object id in the directory.
    #[schemars(with = "String")]
    pub id: MailboxId,
    /// Primary SMTP address.
    pub primary_address: Arc<str>,
    /// Name that people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Arc<str>>,
}

/// A subscription and what is needed to keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Graph's id.
    #[schemars(with = "String")]
    pub id: SubscriptionId,
    /// UID of the object that it was created for: a restored copy has another.
    #[schemars(with = "String")]
    pub owner_uid: Uid,
    /// Hash of the notification URL's base and of this installation.
    pub endpoint_hash: Arc<str>,
    /// Number of the key that signed its clientState.
    #[schemars(with = "i64")]
    pub key_id: KeyId,
    /// When its present life was granted, on Graph's clock.
    pub granted_at: Time,
    /// When it ends unless it is renewed, on Graph's clock.
    pub expires_at: Time,
    /// When it will be renewed.
    pub renew_at: Time,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct HistoryEntry {
    /// When it happened, in UTC.
    pub time: Time,
    /// `Ready`'s reason before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<str>>,
    /// `Ready`'s reason after.
    pub to: Arc<str>,
    /// Reason of the condition that changed it, or SubscriptionReplaced.
    pub reason: Arc<str>,
    /// What that condition said, or from when to when no notifications came.
    #[serde(default)]
    pub message: Arc<str>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_spec_has_the_defaults_of_the_schema() {
        let smallest = json!({"tenantRef": {"name": "contoso"}, "address": "a@contoso.example"});
        let spec: WorkspaceMailboxSpec = serde_json::from_value(smallest).unwrap();
        assert_eq!(spec.type_, MailboxType::Room);
        assert_eq!(spec.subscription, MailboxSubscription::default());
        assert!(spec.subscription.enabled);
        assert_eq!(&*spec.check_interval, "1h");
        assert!(!spec.suspend);
    }

    #[test]
    fn an_empty_subscription_is_an_enabled_one() {
        let subscription: MailboxSubscription = serde_json::from_value(json!({})).unwrap();
        assert_eq!(subscription, MailboxSubscription::default());
    }

    #[test]
    fn a_status_of_another_version_can_be_read_and_loses_no_condition() {
        let status: WorkspaceMailboxStatus = serde_json::from_value(json!({
            "observedGeneration": -1,
            "laterField": {"any": 1},
            "conditions": [{
                "type": "FromTheFuture", "status": "True", "reason": "NewReason",
                "lastTransitionTime": "2026-11-24T08:00:00Z",
            }],
        }))
        .unwrap();
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written["conditions"][0]["type"], "FromTheFuture");
        assert_eq!(written["conditions"][0]["reason"], "NewReason");
    }

    #[test]
    fn what_is_not_known_is_left_out_and_not_null() {
        let written = serde_json::to_value(WorkspaceMailboxStatus::default()).unwrap();
        assert_eq!(written, json!({}));
    }
}
