//! Whether what the watches have shown is at least as new as the moment when this copy began to lead.
//!
//! Who takes over knows what its watches brought while another copy led, which may lag behind what that one wrote last: a
//! mailbox whose new subscription is not seen yet would get a second one. A watch is proven by a list that began since,
//! or by anything it shows that is not older than a version which the API server named since. Until then each object is
//! read by itself before it is worked on, so that taking over needs no list of everything and waits for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{Kind, ObjectKey};

/// One watch: of a kind, in a namespace or in all.
pub type Stream = (Kind, Option<Arc<str>>);

/// What is in doubt. Nothing is, for who has listed everything since it leads, or leads not.
#[derive(Debug, Default)]
pub struct Freshness {
    doubted: BTreeMap<Stream, Doubt>,
}

#[derive(Debug, Default)]
struct Doubt {
    /// Whether its next event was waited for since: a list may be asked for long before it is told that it begins.
    waited: bool,
    /// Whether a list has begun since.
    listing: bool,
    /// What the API server said its version was, since.
    asked: Option<u64>,
    /// The newest version that was shown since.
    shown: Option<u64>,
    /// What was read by itself since.
    read: BTreeSet<ObjectKey>,
}

impl Doubt {
    fn is_over(&self) -> bool {
        self.asked.is_some() && self.shown >= self.asked
    }
}

/// Versions that cannot be compared prove nothing.
fn counted(version: &str) -> Option<u64> {
    version.parse().ok()
}

impl Freshness {
    /// This copy begins to lead: what these have shown so far proves nothing.
    pub fn doubt(&mut self, streams: impl IntoIterator<Item = Stream>) {
        let doubts = streams.into_iter().map(|s| (s, Doubt::default()));
        self.doubted = doubts.collect();
    }

    /// The next event of a watch is waited for.
    pub fn waits(&mut self, stream: &Stream) {
        if let Some(doubt) = self.doubted.get_mut(stream) {
            doubt.waited = true;
        }
    }

    /// That event is that a list of everything begins.
    pub fn list_begins(&mut self, stream: &Stream) {
        if let Some(doubt) = self.doubted.get_mut(stream) {
            doubt.listing = doubt.waited;
        }
    }

    /// It has come to its end.
    pub fn list_ends(&mut self, stream: &Stream) {
        if self.doubted.get(stream).is_some_and(|doubt| doubt.listing) {
            self.doubted.remove(stream);
        }
    }

    /// A watch has shown this version of something, after all that is older.
    pub fn shown(&mut self, stream: &Stream, version: &str) {
        self.note(stream, |doubt| {
            doubt.shown = doubt.shown.max(counted(version));
        });
    }

    /// The API server was asked for the version of what is there now.
    pub fn asked(&mut self, stream: &Stream, version: &str) {
        self.note(stream, |doubt| doubt.asked = counted(version));
    }

    fn note(&mut self, stream: &Stream, note: impl FnOnce(&mut Doubt)) {
        let Some(doubt) = self.doubted.get_mut(stream) else {
            return;
        };
        note(doubt);
        if doubt.is_over() {
            self.doubted.remove(stream);
        }
    }

    /// An object was read by itself.
    pub fn read(&mut self, kind: Kind, key: &ObjectKey) {
        for stream in streams_of(kind, key) {
            if let Some(doubt) = self.doubted.get_mut(&stream) {
                doubt.read.insert(key.clone());
            }
        }
    }

    /// Whether an object is known as it was when this copy began to lead, or newer.
    #[must_use]
    pub fn is_proven(&self, kind: Kind, key: &ObjectKey) -> bool {
        let doubts = |stream: &Stream| match self.doubted.get(stream) {
            Some(doubt) => !doubt.read.contains(key),
            None => false,
        };
        self.doubted.is_empty() || !streams_of(kind, key).iter().any(doubts)
    }

    /// Those of which it is not known what would prove them.
    #[must_use]
    pub fn unasked(&self) -> Vec<Stream> {
        let unasked = self.doubted.iter().filter(|(_, d)| d.asked.is_none());
        unasked.map(|(stream, _)| stream.clone()).collect()
    }
}

/// Which watches may show an object.
fn streams_of(kind: Kind, key: &ObjectKey) -> [Stream; 2] {
    [(kind, None), (kind, Some(Arc::clone(&key.namespace)))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMS: Stream = (Kind::WorkspaceMailbox, None);

    fn room(name: &str) -> ObjectKey {
        ObjectKey::new("rooms", name)
    }

    fn is_proven(freshness: &Freshness) -> bool {
        freshness.is_proven(Kind::WorkspaceMailbox, &room("a"))
    }

    fn doubted() -> Freshness {
        let mut freshness = Freshness::default();
        freshness.doubt([ROOMS, (Kind::CalendarTenant, None)]);
        freshness
    }

    type Step = fn(&mut Freshness);

    #[test]
    fn a_watch_is_proven_by_what_is_not_older_than_the_moment_of_taking_over() {
        let table: &[(&str, &[Step], bool)] = &[
            ("nothing", &[], false),
            ("asked", &[|f| f.asked(&ROOMS, "7")], false),
            (
                "an older one is shown",
                &[|f| f.asked(&ROOMS, "7"), |f| f.shown(&ROOMS, "6")],
                false,
            ),
            (
                "that very one is shown",
                &[|f| f.asked(&ROOMS, "7"), |f| f.shown(&ROOMS, "7")],
                true,
            ),
            (
                "a newer one was shown before the answer came",
                &[|f| f.shown(&ROOMS, "10"), |f| f.asked(&ROOMS, "9")],
                true,
            ),
            (
                "of another kind",
                &[
                    |f| f.asked(&ROOMS, "7"),
                    |f| f.shown(&(Kind::CalendarTenant, None), "8"),
                ],
                false,
            ),
            (
                "what cannot be compared",
                &[|f| f.asked(&ROOMS, "x"), |f| f.shown(&ROOMS, "x")],
                false,
            ),
            (
                "a list that had begun before",
                &[|f| f.list_ends(&ROOMS)],
                false,
            ),
            (
                "a list that goes on",
                &[|f| f.waits(&ROOMS), |f| f.list_begins(&ROOMS)],
                false,
            ),
            (
                "a list that may have been asked for before",
                &[|f| f.list_begins(&ROOMS), |f| f.list_ends(&ROOMS)],
                false,
            ),
            (
                "a whole list",
                &[
                    |f| f.waits(&ROOMS),
                    |f| f.list_begins(&ROOMS),
                    |f| f.list_ends(&ROOMS),
                ],
                true,
            ),
        ];
        for (name, steps, proven) in table {
            let mut freshness = doubted();
            for step in *steps {
                step(&mut freshness);
            }
            assert_eq!(is_proven(&freshness), *proven, "{name}");
        }
    }

    #[test]
    fn an_object_that_was_read_is_proven_alone() {
        let mut freshness = doubted();
        freshness.read(Kind::WorkspaceMailbox, &room("a"));
        assert!(is_proven(&freshness));
        assert!(!freshness.is_proven(Kind::WorkspaceMailbox, &room("b")));
        assert!(!freshness.is_proven(Kind::CalendarTenant, &room("a")));
    }

    #[test]
    fn another_term_doubts_anew_and_nobody_else_doubts() {
        let mut freshness = doubted();
        freshness.read(Kind::WorkspaceMailbox, &room("a"));
        freshness.doubt([ROOMS]);
        assert!(!is_proven(&freshness));
        freshness.asked(&ROOMS, "1");
        freshness.shown(&ROOMS, "2");
        freshness.shown(&ROOMS, "1");
        assert!(is_proven(&freshness));
        assert!(is_proven(&Freshness::default()));
    }

    #[test]
    fn each_namespace_that_is_watched_by_itself_is_proven_by_itself() {
        let watched = |name: &str| (Kind::WorkspaceMailbox, Some(name.into()));
        let mut freshness = Freshness::default();
        freshness.doubt([watched("rooms"), watched("halls")]);
        freshness.asked(&watched("halls"), "7");
        assert_eq!(freshness.unasked(), [watched("rooms")]);
        freshness.shown(&watched("halls"), "7");
        assert!(!is_proven(&freshness));
        let hall = ObjectKey::new("halls", "a");
        assert!(freshness.is_proven(Kind::WorkspaceMailbox, &hall));
    }
}
