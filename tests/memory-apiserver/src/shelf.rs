//! The objects of one kind: how they are, how they were a while ago, and who waits for a change.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// With its `metadata.resourceVersion`.
    pub(crate) object: Value,
    pub(crate) revision: u64,
    /// Shown with defaults that are stored with the next write only, whatever that changes.
    pub(crate) unsettled: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: String,
    pub(crate) before: Option<Arc<Stored>>,
    /// `None`: it is gone.
    pub(crate) after: Option<Arc<Stored>>,
}

/// The objects of one kind.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) objects: BTreeMap<String, Arc<Stored>>,
    history: VecDeque<Change>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    limit: usize,
    news: watch::Sender<u64>,
}

impl Shelf {
    /// Empty at `revision`, with a memory of `limit` changes.
    pub(crate) fn new(revision: u64, limit: usize) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: revision,
            limit,
            news: watch::Sender::new(revision),
        }
    }

    /// Tells the revision of each change.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Puts an object in its place, or takes it away.
    pub(crate) fn set(&mut self, key: &str, revision: u64, after: Option<Arc<Stored>>) {
        let before = match &after {
            Some(stored) => self.objects.insert(key.to_owned(), Arc::clone(stored)),
            None => self.objects.remove(key),
        };
        self.history.push_back(Change {
            revision,
            key: key.to_owned(),
            before,
            after,
        });
        if self.history.len() > self.limit {
            self.forget_one();
        }
        self.news.send_replace(revision);
    }

    fn forget_one(&mut self) {
        if let Some(change) = self.history.pop_front() {
            self.forgotten = change.revision;
        }
    }

    /// Forgets how objects were before `revision`.
    pub(crate) fn forget(&mut self, revision: u64) {
        self.history.clear();
        self.forgotten = revision;
    }

    /// Up to which revision changes are forgotten.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What happened since; `None` when that is not known any more.
    pub(crate) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        let from = self
            .history
            .partition_point(|change| change.revision <= revision);
        (revision >= self.forgotten).then(|| self.history.range(from..))
    }

    /// The objects as they were, from a key on; `None` when that is not known any more.
    pub(crate) fn at(&self, revision: u64, from: &str) -> Option<BTreeMap<&str, &Arc<Stored>>> {
        let range = (Bound::Included(from), Bound::Unbounded);
        let present = self.objects.range::<str, _>(range);
        let mut objects: BTreeMap<&str, &Arc<Stored>> = present
            .map(|(key, stored)| (key.as_str(), stored))
            .collect();
        let mut changes: Vec<&Change> = self.since(revision)?.collect();
        changes.reverse();
        for change in changes {
            if change.key.as_str() < from {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(&change.key, before),
                None => objects.remove(change.key.as_str()),
            };
        }
        Some(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(revision: u64) -> Arc<Stored> {
        Arc::new(Stored {
            object: json!(revision),
            revision,
            unsettled: false,
        })
    }

    fn revisions(shelf: &Shelf, at: u64) -> Option<Vec<(&str, u64)>> {
        let objects = shelf.at(at, "")?;
        Some(
            objects
                .iter()
                .map(|(key, stored)| (*key, stored.revision))
                .collect(),
        )
    }

    #[test]
    fn objects_are_shown_as_they_were() {
        let mut shelf = Shelf::new(10, 8);
        shelf.set("a", 11, Some(stored(11)));
        shelf.set("b", 12, Some(stored(12)));
        shelf.set("a", 13, Some(stored(13)));
        shelf.set("b", 14, None);
        shelf.set("c", 15, Some(stored(15)));
        assert_eq!(revisions(&shelf, 10), Some(vec![]));
        assert_eq!(revisions(&shelf, 12), Some(vec![("a", 11), ("b", 12)]));
        assert_eq!(revisions(&shelf, 14), Some(vec![("a", 13)]));
        assert_eq!(revisions(&shelf, 15), Some(vec![("a", 13), ("c", 15)]));
        let after_b: Vec<&str> = shelf.at(13, "b").unwrap().into_keys().collect();
        assert_eq!(after_b, ["b"]);
    }

    #[test]
    fn only_the_last_changes_are_remembered() {
        let mut shelf = Shelf::new(10, 2);
        for revision in 11..=14 {
            shelf.set("a", revision, Some(stored(revision)));
        }
        assert!(shelf.since(11).is_none());
        assert_eq!(shelf.since(12).unwrap().count(), 2);
        assert_eq!(shelf.since(14).unwrap().count(), 0);
        shelf.forget(14);
        assert!(shelf.since(13).is_none());
        assert_eq!(revisions(&shelf, 14), Some(vec![("a", 14)]));
    }
}
