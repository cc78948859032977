//! What is coming for an object: computed anew whenever it is asked for, from what is known and the time.

use std::ops::BitOr;

use jiff::Timestamp;

use crate::domain::queue::Class;

/// One reason to work on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<W> {
    /// From when on.
    pub at: Timestamp,
    /// How urgent.
    pub class: Class,
    /// What to do then.
    pub work: W,
}

/// Everything that is coming for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agenda<W>(Vec<Entry<W>>);

impl<W> Default for Agenda<W> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<W: Copy + BitOr<Output = W>> Agenda<W> {
    /// One more thing.
    pub fn add(&mut self, at: Timestamp, class: Class, work: W) {
        self.0.push(Entry { at, class, work });
    }

    /// Nothing happens before `at`, whatever it is.
    pub fn hold_until(&mut self, at: Timestamp) {
        for entry in &mut self.0 {
            entry.at = entry.at.max(at);
        }
    }

    /// What is due at `now`, all of it in one pass; `None` when nothing is.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<W> {
        let due = self.0.iter().filter(|entry| entry.at <= now);
        due.map(|entry| entry.work).reduce(BitOr::bitor)
    }

    /// When the next thing is due and how urgent it is. Of what is due already, the most urgent.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<(Timestamp, Class)> {
        self.0
            .iter()
            .map(|entry| (entry.at.max(now), entry.class))
            .min()
    }
}
