//! Switches for what the real service does and nobody has documented. Defaults are what was observed most.

use serde::{Deserialize, Serialize};

/// One field for each undocumented behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// Page length of lists, instead of Graph's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
    /// `error.code` of the 404 for a subscription that does not exist.
    pub missing_subscription_code: String,
    /// Two subscriptions of one application for the same resource and change types are both accepted.
    pub allow_duplicates: bool,
    /// Longest life that may be asked for: 10070 as observed, 10080 as documented, 4230 as it was before.
    pub max_lifetime_minutes: u32,
    /// A changed `notificationUrl` is validated again.
    pub validate_on_patch: bool,
    /// `error.code` of a failed validation of a notification URL.
    pub validation_failure_code: ValidationFailureCode,
    /// The validation token contains markup, to catch receivers that escape it.
    pub markup_in_validation_token: bool,
    /// Status for a mailbox that is on-premises, soft-deleted or unlicensed.
    pub on_premises_status: u16,
    /// Text of the refusal when the access policy excludes a mailbox.
    pub denied_text: DeniedText,
    /// Body of the 404 for an unknown place.
    pub unknown_place: UnknownPlace,
    /// Status for a `transactionId` used before: 409 or 400.
    pub duplicate_transaction_status: u16,
    /// What a booking makes a room's subscriptions hear.
    pub booking: BookingNotifications,
    /// Share of Graph calls, 0 to 1, answered with 503 or 504 and an empty message.
    pub random_faults: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            page_size: None,
            missing_subscription_code: "ResourceNotFound".to_owned(),
            allow_duplicates: false,
            max_lifetime_minutes: 10_070,
            validate_on_patch: true,
            validation_failure_code: ValidationFailureCode::ValidationError,
            markup_in_validation_token: false,
            on_premises_status: 404,
            denied_text: DeniedText::Policy,
            unknown_place: UnknownPlace::Empty,
            duplicate_transaction_status: 409,
            booking: BookingNotifications::Room,
            random_faults: 0.0,
        }
    }
}

/// `error.code` of a failed validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValidationFailureCode {
    /// Since 2024.
    ValidationError,
    /// Before.
    InvalidRequest,
}

impl ValidationFailureCode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ValidationError => "ValidationError",
            Self::InvalidRequest => "InvalidRequest",
        }
    }
}

/// Text of a refusal by policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeniedText {
    /// Names the application access policy.
    Policy,
    /// The same text as for a missing role, as expected under RBAC for Applications.
    Generic,
}

/// Body of the 404 for an unknown place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownPlace {
    /// `UnknownError` with an empty message.
    Empty,
    /// `UnknownError` with JSON in the message.
    InvalidPlace,
}

/// What a booking makes a room's subscriptions hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BookingNotifications {
    /// `created` and two `updated`, as a room that accepts by itself does.
    Room,
    /// `created` only.
    Exact,
}
