//! Conditions as the status carries them. Strings in the schema, closed vocabularies in the code.

#![expect(
    unreachable_pub,
    reason = "the schema derive expands to copies in private scopes"
)]

use std::sync::Arc;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::api::vocabulary::{ConditionType, Reason};

/// One observation about an object.
///
/// `Ready` is positive; every other type names a problem and is `True` while that problem exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub type_: ConditionType,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The generation of the spec that this was observed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Why, in one word.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// Why, and what to do, in whole sentences. At most 1,024 bytes.
    #[serde(default)]
    pub message: Arc<str>,
}

/// Whether a list is left out because it is empty.
pub(super) fn none_is_there(conditions: &Arc<[Condition]>) -> bool {
    conditions.is_empty()
}

/// `True`, `False` or `Unknown`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It was looked at and is not so.
    False,
    /// It could not be found out, or was not looked at yet.
    Unknown,
}

impl ConditionStatus {
    /// As Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
