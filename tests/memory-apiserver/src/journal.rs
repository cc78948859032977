//! What was asked, by whom, and how it was answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

/// Writes that are remembered one by one; all are counted.
const KEPT: usize = 16_384;

/// What a request was about; requests that agree in it are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The client's name: its `User-Agent`, or the name that [`crate::MemoryApiServer::client_of`] was given.
    pub agent: Arc<str>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// The plural name of the kind, with the subresource behind it: `workspacemailboxes/status`.
    pub resource: Arc<str>,
    /// The status code of the answer.
    pub code: u16,
}

impl About {
    /// Whether it was meant to change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Counts up by one; see [`crate::MemoryApiServer::writes_since`].
    pub number: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// What it was about.
    pub about: About,
    /// `namespace/name`, or the name alone.
    pub object: String,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    counts: BTreeMap<About, u64>,
    writes: VecDeque<Write>,
    next: u64,
}

impl Journal {
    pub(crate) fn note(&mut self, at: Timestamp, about: About, object: &str) {
        if about.is_write() {
            self.writes.push_back(Write {
                number: self.next,
                at,
                about: about.clone(),
                object: object.to_owned(),
            });
            self.next += 1;
            if self.writes.len() > KEPT {
                self.writes.pop_front();
            }
        }
        *self.counts.entry(about).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> &BTreeMap<About, u64> {
        &self.counts
    }

    pub(crate) fn writes_since(&self, number: u64) -> Vec<Write> {
        let from = self.writes.partition_point(|write| write.number < number);
        self.writes.range(from..).cloned().collect()
    }
}
