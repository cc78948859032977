//! A calendar event as the emulator keeps it.

use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct StoredEvent {
    /// The event as Graph shows it, without annotations.
    pub(crate) body: Value,
    pub(crate) change_key: String,
    pub(crate) transaction_id: Option<String>,
    /// `singleValueExtendedProperties`, shown only with `$expand`.
    pub(crate) extended: Vec<(String, String)>,
}

impl StoredEvent {
    pub(crate) fn etag(&self) -> String {
        format!("W/\"{}\"", self.change_key)
    }
}
