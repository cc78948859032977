//! What was asked of the emulator, and how often.
//!
//! The journal keeps the newest entries up to a limit; counts never forget. Neither holds a secret, a token
//! or a body.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

const KEPT: usize = 200_000;

/// One call, in the order in which the answers were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Counts from 1.
    pub seq: u64,
    /// When the call arrived, on the emulator's clock.
    pub time: Timestamp,
    /// Name of the operation.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Tenant ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Application that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Primary address of the mailbox concerned, or what the caller wrote if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// HTTP status; 0 when the connection was cut.
    pub status: u16,
    /// How long it took, on tokio's clock.
    pub duration_ms: u64,
    /// `request-id` of the answer.
    pub request_id: String,
    /// It was an item of a `$batch`.
    pub batched: bool,
    /// What the emulator does not imitate, when the status is 501.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How often each operation was answered with each status, and what became of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// By operation, then by status (`"201"`; `"0"` for a cut connection).
    pub requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many of them were items of a `$batch`, by operation: those are not requests of their own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub batched: BTreeMap<String, u64>,
    /// Change and lifecycle notifications.
    pub notifications: NotificationCounts,
}

impl Counts {
    /// All calls of this operation, whatever the answer.
    #[must_use]
    pub fn of(&self, operation: impl AsRef<str>) -> u64 {
        self.requests
            .get(operation.as_ref())
            .map_or(0, |by_status| by_status.values().sum())
    }

    /// The calls of this operation that were answered with this status.
    #[must_use]
    pub fn with_status(&self, operation: impl AsRef<str>, status: u16) -> u64 {
        self.requests
            .get(operation.as_ref())
            .and_then(|by_status| by_status.get(&status.to_string()))
            .copied()
            .unwrap_or_default()
    }
}

/// What became of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationCounts {
    /// Answered with 2xx in time.
    pub delivered: u64,
    /// Attempts that failed; each may be tried again.
    pub failed: u64,
    /// Given up, or dropped by a fault.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<JournalEntry>,
    last: u64,
    pub(crate) counts: Counts,
}

impl Journal {
    pub(crate) fn record(&mut self, mut entry: JournalEntry) {
        self.last += 1;
        entry.seq = self.last;
        *self
            .counts
            .requests
            .entry(entry.operation.clone())
            .or_default()
            .entry(entry.status.to_string())
            .or_default() += 1;
        if entry.batched {
            let batched = &mut self.counts.batched;
            *batched.entry(entry.operation.clone()).or_default() += 1;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Entries with a `seq` above `since`.
    pub(crate) fn since(&self, since: u64) -> Vec<JournalEntry> {
        let first = self.entries.front().map_or(1, |entry| entry.seq);
        let skip = since.saturating_add(1).saturating_sub(first);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).cloned().collect()
    }
}
