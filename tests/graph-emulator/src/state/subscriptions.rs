//! A change-notification subscription as the emulator keeps it.

use jiff::Timestamp;
use serde::Serialize;

/// A change-notification subscription with everything that Graph would hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Tenant ID.
    pub tenant: String,
    /// Application that created it.
    pub client_id: String,
    /// Object id of that application's service principal.
    pub creator_id: String,
    /// What it watches, as the caller wrote it.
    pub resource: String,
    /// Object id of the mailbox.
    pub mailbox_id: String,
    /// Primary address of the mailbox.
    pub mailbox: String,
    /// Comma list of `created`, `updated`, `deleted`, as the caller wrote it.
    pub change_type: String,
    /// Where changes are sent.
    pub notification_url: String,
    /// Where lifecycle events are sent.
    pub lifecycle_notification_url: Option<String>,
    /// What authenticates notifications to the receiver.
    pub client_state: Option<String>,
    /// When it was created.
    pub created_date_time: Timestamp,
    /// When it ends.
    pub expiration_date_time: Timestamp,
    /// What the caller asked of TLS.
    pub latest_supported_tls_version: String,
}

impl Subscription {
    /// Whether it asks for this kind of change.
    pub(crate) fn wants(&self, change: &str) -> bool {
        self.change_types().contains(&change.to_owned())
    }

    /// The kinds of change, sorted.
    pub(crate) fn change_types(&self) -> Vec<String> {
        change_types(&self.change_type)
    }
}

/// The members of a comma list, lower case, sorted, each once.
pub(crate) fn change_types(list: &str) -> Vec<String> {
    let mut types: Vec<String> = list
        .split(',')
        .map(|one| one.trim().to_lowercase())
        .collect();
    types.sort();
    types.dedup();
    types
}
