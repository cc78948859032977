//! Sees everything that happens, keeps the last of it, and holds it to the invariants that can be judged on the spot.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

/// So many of the last events are told with a violation.
const KEPT: usize = 80;

/// Shorter words are no secrets.
const SHORTEST_SECRET: usize = 16;

/// What must hold all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invariant {
    /// The subscription of a mailbox that works never ends while Graph answers half of the calls.
    NoLapse,
    /// A mailbox has one living subscription of ours, and an object that is gone has none, but for a short while.
    OneSubscription,
    /// Only the copy that the Lease names begins a change at Graph.
    OneLeader,
    /// What belongs to others is left alone, at Graph and in the cluster.
    NothingForeign,
    /// No secret, token, `clientState` or address is in logs, Events, statuses (addresses may be there) or metrics.
    NoSecret,
    /// No object is written more often than so many times in an hour.
    BoundedWrites,
    /// Some time after the last fault every status tells the truth, and Graph holds what it should.
    Converged,
    /// From then on nothing is written but the Lease, what Graph granted anew, and what ended there.
    Quiet,
    /// No process ends by itself, no pass panics.
    NoPanic,
}

/// How an invariant was broken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Seconds since the start.
    pub at: u64,
    /// What was seen.
    pub detail: String,
    /// What happened before.
    pub last: Vec<String>,
}

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Witness {
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    broken: Notify,
    /// Whether everything that happens is printed as well.
    aloud: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    last: VecDeque<String>,
    digest: Sha256,
    tally: BTreeMap<&'static str, u64>,
    secrets: HashSet<String>,
    foreign: BTreeSet<String>,
    writes: BTreeMap<String, Written>,
    written: u64,
    /// Ids of subscriptions that copies removed lately.
    removed: Vec<String>,
    /// UIDs of objects for which copies tried to make a subscription lately, or had no reason to; none for all objects.
    tried: Vec<Option<String>>,
    /// Whom the Lease names, by its last write.
    leader: Option<String>,
    violation: Option<Violation>,
}

#[derive(Clone, Copy, Default)]
struct Written {
    hour: u64,
    count: u32,
}

impl Witness {
    pub(crate) fn new(aloud: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                start: Instant::now(),
                broken: Notify::new(),
                aloud,
                seen: Mutex::default(),
            }),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Remembers that something happened.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{} {what}", Stamp(self.elapsed()));
        if self.shared.aloud {
            // Who asked for it reads along.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{line}\n"));
        }
        let mut seen = self.seen();
        seen.digest.update(line.as_bytes());
        seen.digest.update(b"\n");
        if seen.last.len() == KEPT {
            seen.last.pop_front();
        }
        seen.last.push_back(line);
    }

    /// Counts something for the table.
    pub(crate) fn count(&self, what: &'static str) {
        self.count_many(what, 1);
    }

    pub(crate) fn count_many(&self, what: &'static str, by: u64) {
        *self.seen().tally.entry(what).or_default() += by;
    }

    /// Counts from here on.
    pub(crate) fn forget_counts(&self) {
        self.seen().tally.clear();
    }

    /// Remembers that an invariant was broken; the first time counts.
    pub(crate) fn violate(&self, invariant: Invariant, detail: String) {
        self.note(format_args!("BROKEN {invariant:?}: {detail}"));
        let at = self.elapsed().as_secs();
        let mut seen = self.seen();
        if seen.violation.is_none() {
            let last = seen.last.iter().cloned().collect();
            seen.violation = Some(Violation {
                invariant,
                at,
                detail,
                last,
            });
        }
        self.shared.broken.notify_one();
    }

    /// A copy removed a subscription.
    pub(crate) fn removed(&self, id: &str) {
        self.seen().removed.push(id.to_owned());
    }

    /// What copies removed since this was asked last.
    pub(crate) fn take_removed(&self) -> Vec<String> {
        std::mem::take(&mut self.seen().removed)
    }

    /// A copy tried to make a subscription for an object; without one, nobody has reason to for any.
    pub(crate) fn tried(&self, uid: Option<&str>) {
        self.seen().tried.push(uid.map(str::to_owned));
    }

    /// For whom copies tried since this was asked last.
    pub(crate) fn take_tried(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.seen().tried)
    }

    /// Until an invariant is broken.
    pub(crate) async fn broken(&self) {
        self.shared.broken.notified().await;
    }

    /// From now on this word must appear nowhere.
    pub(crate) fn secret(&self, word: &str) {
        if word.len() >= SHORTEST_SECRET {
            self.seen().secrets.insert(word.to_owned());
        }
    }

    /// Looks for secrets in something that others can read.
    pub(crate) fn read(&self, sink: &str, text: &str) {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || "-_=+/.~".contains(c);
        let found = {
            let seen = self.seen();
            let mut words = text.split(|c| !is_of_word(c));
            words
                .find(|word| word.len() >= SHORTEST_SECRET && seen.secrets.contains(*word))
                .map(str::to_owned)
        };
        if found.is_some() {
            self.violate(
                Invariant::NoSecret,
                format!("a secret is in {sink}: {}", shortened(text)),
            );
        }
    }

    /// Looks for addresses too, where even those must not be.
    pub(crate) fn read_impersonal(&self, sink: &str, text: &str) {
        self.read(sink, text);
        if text.contains("@tenant") {
            self.violate(
                Invariant::NoSecret,
                format!("an address is in {sink}: {}", shortened(text)),
            );
        }
    }

    /// From now on this subscription belongs to others.
    pub(crate) fn foreign(&self, id: &str) {
        self.seen().foreign.insert(id.to_owned());
    }

    pub(crate) fn is_foreign(&self, id: &str) -> bool {
        self.seen().foreign.contains(id)
    }

    /// An object was written; `limit` is how often that may happen within an hour.
    pub(crate) fn wrote(&self, object: &str, limit: u32) {
        let hour = self.elapsed().as_secs() / 3600;
        let count = {
            let mut seen = self.seen();
            seen.written += 1;
            let written = seen.writes.entry(object.to_owned()).or_default();
            if written.hour != hour {
                *written = Written { hour, count: 0 };
            }
            written.count += 1;
            written.count
        };
        self.raise("most writes of one object in an hour", u64::from(count));
        if count > limit {
            self.violate(
                Invariant::BoundedWrites,
                format!("{object} was written {count} times within an hour"),
            );
        }
    }

    /// Who wrote the Lease last; nobody leads once a holder has given it up.
    pub(crate) fn leads(&self, who: Option<&str>) {
        let mut seen = self.seen();
        if seen.leader.as_deref() != who {
            seen.leader = who.map(str::to_owned);
        }
    }

    /// Somebody begins to change something at Graph: nobody else may lead, not even the same copy in an earlier life.
    pub(crate) fn changes(&self, who: &str, what: fmt::Arguments<'_>) {
        let leader = self.seen().leader.clone();
        if let Some(leader) = leader.filter(|leader| leader != who) {
            self.violate(
                Invariant::OneLeader,
                format!("{who} began {what} while {leader} leads"),
            );
        }
    }

    /// How often something was written.
    pub(crate) fn written(&self) -> u64 {
        self.seen().written
    }

    /// Sets a number for the table.
    pub(crate) fn raise(&self, what: &'static str, to: u64) {
        let mut seen = self.seen();
        let number = seen.tally.entry(what).or_default();
        *number = to.max(*number);
    }

    /// What was counted, a digest of all that happened, and what was broken.
    pub(crate) fn end(&self) -> (BTreeMap<String, u64>, String, Option<Violation>) {
        let seen = self.seen();
        let tally = seen
            .tally
            .iter()
            .map(|(what, count)| ((*what).to_owned(), *count));
        let digest = seen.digest.clone().finalize();
        let digest = digest
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        (tally.collect(), digest, seen.violation.clone())
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=400.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// `3d 04:05:06.789`
struct Stamp(Duration);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
        let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{days}d {hours:02}:{minutes:02}:{seconds:02}.{millis:03}"
        )
    }
}
