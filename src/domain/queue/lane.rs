//! One tenant's waiting objects, in the order in which they will be handed out.
//!
//! A lane knows nothing of other tenants: the queue asks it what to be listed under, and takes from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{AGEING, Class, Limits};
use crate::domain::schedule::later;

/// What an object waits for. `sequence` numbers the wakes, so no two objects have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wish {
    pub(super) due: Timestamp,
    pub(super) class: Class,
    pub(super) sequence: u64,
}

impl Wish {
    /// The earlier instant and the more urgent class of both. An object keeps its place: whatever its tenant learns wakes
    /// all that wait for their first validation, and must not put them before the one that was just made.
    pub(super) fn merged(self, later: Self) -> Self {
        Self {
            due: self.due.min(later.due),
            class: self.class.min(later.class),
            sequence: self.sequence.min(later.sequence),
        }
    }
}

/// An object in a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    wish: Wish,
    ready: Option<Ready>,
}

/// An object that was seen to be due.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// When it was seen: age counts from here, not from the due time, so that what fell due while nobody was
    /// running is not all of the highest class at once.
    since: Timestamp,
    /// The class it has risen to.
    level: Class,
    /// The class it came in with: its own, or a higher one that first validations had risen to.
    joined: Class,
}

/// A place in an order: an instant, then a number that no other object has.
type Rank = (Timestamp, u64);

impl Waiting {
    fn due_rank(&self) -> Rank {
        (self.wish.due, self.wish.sequence)
    }

    /// Place among those that have not risen: by due time; of first validations the newest first.
    fn native_rank(&self) -> Rank {
        match self.wish.class {
            Class::First => (Timestamp::MIN, u64::MAX - self.wish.sequence),
            Class::User | Class::Renewal | Class::Routine => self.due_rank(),
        }
    }

    /// Place among those that have risen: by when each arrives at the top, so an urgent class keeps a head
    /// start and nobody is overtaken for ever.
    fn risen_rank(&self, ready: Ready) -> Rank {
        let top = later(ready.since, AGEING * steps(self.wish.class.index()));
        (top, self.wish.sequence)
    }

    /// When it becomes due or rises next.
    fn change_rank(&self) -> Option<Rank> {
        let at = match self.ready {
            None => self.wish.due,
            Some(Ready {
                level: Class::User, ..
            }) => return None,
            Some(Ready { since, level, .. }) => {
                let risen = self.wish.class.index() - level.index();
                later(since, AGEING * steps(risen + 1))
            }
        };
        Some((at, self.wish.sequence))
    }

    /// The same at `now`, which is not before its change. A first validation that begins to wait joins the others where they
    /// are, at `crowd`: the newest goes first among them.
    fn advanced(self, now: Timestamp, crowd: usize) -> Self {
        let ready = match self.ready {
            None => {
                let level = match self.wish.class {
                    Class::First => Class::ALL[crowd.min(Class::First.index())],
                    own @ (Class::User | Class::Renewal | Class::Routine) => own,
                };
                Ready {
                    since: now,
                    level,
                    joined: level,
                }
            }
            Some(ready) => Ready {
                level: ready.level.risen(),
                ..ready
            },
        };
        Self {
            ready: Some(ready),
            ..self
        }
    }
}

/// The bays of what has risen to `level`: of single objects, and of work that is handed out in rows.
pub(super) const fn bays(level: usize) -> [usize; 2] {
    [2 * level, 2 * level + 1]
}

/// The level of a bay.
pub(super) const fn level(bay: usize) -> usize {
    bay / 2
}

/// The bay of an object of this class that has risen to `level`.
fn bay(level: usize, class: Class) -> usize {
    bays(level)[usize::from(Class::IN_ROWS[class.index()])]
}

/// Whether a bay is of work that is handed out in rows.
pub(super) const fn is_in_rows(bay: usize) -> bool {
    bay % 2 == 1
}

fn steps(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Ready objects of one level, in rows or not: those that came in there, and those that rose.
#[derive(Debug)]
struct Bay<K> {
    native: BTreeMap<Rank, K>,
    risen: BTreeMap<Rank, K>,
    /// Who goes next when there are both: they alternate, so neither starves the other.
    favour_risen: bool,
    /// The queue's turn at which this tenant was last served from here.
    turn: u64,
    /// How many it was handed out in the row that it is in.
    row: usize,
}

impl<K> Bay<K> {
    fn is_empty(&self) -> bool {
        self.native.is_empty() && self.risen.is_empty()
    }
}

/// Two for each class.
pub(super) const BAYS: usize = 2 * Class::ALL.len();

/// What the queue lists a lane under.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Listing {
    pub(super) due: Option<Timestamp>,
    pub(super) change: Option<Timestamp>,
    pub(super) turns: [Option<u64>; BAYS],
    /// The highest level at which something waits that is handed out in rows, whether there is room or not.
    pub(super) crowd: Option<usize>,
}

/// One tenant's waiting objects and the number of those in flight.
#[derive(Debug)]
pub(super) struct Lane<K> {
    waiting: BTreeMap<K, Waiting>,
    /// Of those that were seen to be due: the others change when they become due.
    dues: BTreeSet<Rank>,
    changes: BTreeMap<Rank, K>,
    bays: [Bay<K>; BAYS],
    in_flight: usize,
    /// It had as many in flight as it may, and there is no room for a row yet.
    full: bool,
    listed: Listing,
}

impl<K: Clone + Ord> Lane<K> {
    /// An empty lane, behind all that were served up to `turn`.
    pub(super) fn joining_at(turn: u64) -> Self {
        Self {
            waiting: BTreeMap::new(),
            dues: BTreeSet::new(),
            changes: BTreeMap::new(),
            bays: std::array::from_fn(|_| Bay {
                native: BTreeMap::new(),
                risen: BTreeMap::new(),
                favour_risen: false,
                turn,
                row: 0,
            }),
            in_flight: 0,
            full: false,
            listed: Listing::default(),
        }
    }

    /// Adds an object. `before` is how it waited before; it keeps its age.
    pub(super) fn put(&mut self, key: K, wish: Wish, before: Option<Waiting>) {
        let entry = match before {
            None => Waiting { wish, ready: None },
            Some(before) => {
                let wish = before.wish.merged(wish);
                let ready = before.ready.map(|ready| Ready {
                    level: ready.level.min(wish.class),
                    joined: ready.joined.min(wish.class),
                    ..ready
                });
                Waiting { wish, ready }
            }
        };
        self.insert(key, entry);
    }

    /// Takes an object out, whatever it waits for.
    pub(super) fn withdraw(&mut self, key: &K) -> Option<Waiting> {
        let entry = self.waiting.remove(key)?;
        if let Some(rank) = entry.change_rank() {
            self.changes.remove(&rank);
        }
        if let Some(ready) = entry.ready {
            self.dues.remove(&entry.due_rank());
            let bay = &mut self.bays[bay(ready.level.index(), entry.wish.class)];
            bay.native.remove(&entry.native_rank());
            bay.risen.remove(&entry.risen_rank(ready));
        }
        Some(entry)
    }

    /// Takes the next of those ready in a bay, into flight.
    pub(super) fn take(&mut self, number: usize, turn: u64, limits: Limits) -> Option<(K, Wish)> {
        let bay = &mut self.bays[number];
        let native = bay.native.values().next();
        let risen = bay.risen.values().next();
        let key = match (native, risen) {
            (Some(_), Some(risen)) if bay.favour_risen => risen.clone(),
            (Some(native), _) => native.clone(),
            (None, risen) => risen?.clone(),
        };
        bay.favour_risen = !bay.favour_risen;
        let entry = self.withdraw(&key)?;
        let bay = &mut self.bays[number];
        bay.row += 1;
        if !is_in_rows(number) || bay.row >= limits.row || bay.is_empty() {
            // Others have their turn now; until then it stays this tenant's.
            bay.turn = turn;
            bay.row = 0;
        }
        self.in_flight += 1;
        self.full |= self.in_flight >= limits.per_tenant;
        Some((key, entry.wish))
    }

    /// Whether the row of this bay goes on.
    pub(super) const fn in_row(&self, number: usize) -> bool {
        self.bays[number].row > 0 && !self.full
    }

    /// One of those in flight has ended.
    pub(super) fn land(&mut self, limits: Limits) {
        self.in_flight -= 1;
        self.full &= self.in_flight + limits.row > limits.per_tenant;
    }

    /// The highest level at which something waits that is handed out in rows.
    fn crowd(&self) -> Option<usize> {
        let waits = |level: &usize| !self.bays[bay(*level, Class::First)].is_empty();
        (0..Class::ALL.len()).find(waits)
    }

    /// Lets everything become ready or rise whose time has come; first validations wait at the level `crowd`.
    pub(super) fn advance(&mut self, now: Timestamp, crowd: usize) {
        while let Some((&(at, _), key)) = self.changes.first_key_value()
            && at <= now
        {
            let key = key.clone();
            let Some(entry) = self.withdraw(&key) else {
                return;
            };
            let crowd = self.crowd().map_or(crowd, |own| own.min(crowd));
            self.insert(key, entry.advanced(now, crowd));
        }
    }

    /// What to be listed under; nothing when it has no room.
    pub(super) fn listing(&self) -> Listing {
        let crowd = self.crowd();
        let change = self.changes.first_key_value().map(|((at, _), _)| *at);
        if self.full {
            return Listing {
                crowd,
                ..Listing::default()
            };
        }
        Listing {
            crowd,
            due: self
                .dues
                .first()
                .map(|(due, _)| *due)
                .into_iter()
                .chain(change)
                .min(),
            change,
            turns: std::array::from_fn(|number| {
                let bay = &self.bays[number];
                (!bay.is_empty()).then_some(bay.turn)
            }),
        }
    }

    /// Notes what it is listed under, and returns what it was listed under.
    pub(super) fn relist(&mut self, listing: Listing) -> Listing {
        std::mem::replace(&mut self.listed, listing)
    }

    /// Whether it can be dropped.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0
    }

    /// What its objects wait for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&K, &Wish)> {
        self.waiting.iter().map(|(key, entry)| (key, &entry.wish))
    }

    /// What waits, without saying for whom.
    pub(super) fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.waiting.values().map(|entry| &entry.wish)
    }

    fn insert(&mut self, key: K, entry: Waiting) {
        if let Some(rank) = entry.change_rank() {
            self.changes.insert(rank, key.clone());
        }
        if let Some(ready) = entry.ready {
            self.dues.insert(entry.due_rank());
            let bay = &mut self.bays[bay(ready.level.index(), entry.wish.class)];
            if ready.level == ready.joined {
                bay.native.insert(entry.native_rank(), key.clone());
            } else {
                let rank = entry.risen_rank(ready);
                bay.risen.insert(rank, key.clone());
            }
        }
        self.waiting.insert(key, entry);
    }
}
