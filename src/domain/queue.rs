//! The work queue as a plain data structure: which object is looked at next, and when.
//!
//! It holds each object at most once, with the instant at which it is due and the class of its work. Of what
//! is due it hands out the most urgent class first; within a class the tenants take turns, and no tenant
//! has more than its share in flight. A turn is one object where somebody waits for it, and a row of objects
//! where nobody does, so that what they ask of Microsoft can travel together; a row does not begin before there is room
//! for all of it, also when what it consists of has risen by waiting. A tenant that hangs is taken out
//! of the indexes, so that its waiting objects, however many, cost the others nothing. Work that waits rises a
//! class per [`AGEING`], so that none starves.
//!
//! It does not wait, wake tasks or read a clock: the caller passes `now` and sleeps until [`Queue::next_due`].
//! It does not know what an object or a tenant is either; it orders by their `Ord`, and equal sequences of
//! calls have equal outcomes.

pub mod backlog;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::schedule::earlier;

use lane::{BAYS, Lane, Wish, bays, is_in_rows, level};

/// After waiting this long while it is due, work rises one class; again after as long.
pub const AGEING: Duration = Duration::from_mins(1);

/// What kind of work it is, most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Somebody changed something and watches.
    User,
    /// A subscription comes near its end.
    Renewal,
    /// An object is validated for the first time. Within a tenant the newest goes first.
    First,
    /// A re-check that nobody waits for.
    Routine,
}

impl Class {
    /// Classes whose work comes in quantity and is handed out in rows.
    const IN_ROWS: [bool; 4] = [false, false, true, true];

    /// All classes, most urgent first; the order of [`Queue::backlogs`].
    pub const ALL: [Self; 4] = [Self::User, Self::Renewal, Self::First, Self::Routine];

    /// The class as the metric label `class` spells it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Renewal => "renewal",
            Self::First => "first",
            Self::Routine => "routine",
        }
    }

    /// The next more urgent class.
    const fn risen(self) -> Self {
        match self {
            Self::User | Self::Renewal => Self::User,
            Self::First => Self::Renewal,
            Self::Routine => Self::First,
        }
    }

    /// Position in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::User => 0,
            Self::Renewal => 1,
            Self::First => 2,
            Self::Routine => 3,
        }
    }
}

/// How much may be in flight. Zero counts as one, since nothing would ever run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Objects in flight in all. No row begins that has no room.
    pub total: usize,
    /// Objects in flight of one tenant. Once so many are, none of it follows before there is room for a row.
    pub per_tenant: usize,
    /// Objects of one tenant that are handed out in a row: at most `per_tenant` and `total`.
    pub row: usize,
}

/// An object that was handed out, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken<K> {
    /// The object.
    pub key: K,
    /// The class it was put in with, however much it rose by waiting.
    pub class: Class,
    /// When it was due.
    pub due: Timestamp,
}

/// Objects `K` that want work, fair by tenant `T`. Every operation is logarithmic, except [`Queue::backlogs`].
#[derive(Debug)]
pub struct Queue<K, T> {
    limits: Limits,
    objects: BTreeMap<K, Place<T>>,
    lanes: BTreeMap<T, Lane<K>>,
    /// Per bay: the lanes that have room and something ready, by whose turn it is.
    rings: [BTreeSet<(u64, T)>; BAYS],
    /// Lanes in which something waits that is handed out in rows, by the highest level it has risen to.
    crowds: BTreeSet<(usize, T)>,
    /// Per level, whether rows go before single objects next: they alternate, so that neither starves the other.
    favour_rows: [bool; Class::ALL.len()],
    /// Lanes that have room, by the earliest due time of what waits in them.
    dues: BTreeSet<(Timestamp, T)>,
    /// Lanes that have room, by when something in them becomes due or rises next.
    changes: BTreeSet<(Timestamp, T)>,
    in_flight: usize,
    /// The row that was begun last goes on.
    in_row: bool,
    turn: u64,
    sequence: u64,
}

/// Where an object is. Never in a lane and in flight at once.
#[derive(Debug)]
enum Place<T> {
    Waiting(T),
    /// Boxed, because nearly all objects wait.
    InFlight(Box<Flight<T>>),
}

/// A pass that has begun and not ended.
#[derive(Debug)]
struct Flight<T> {
    /// The tenant that it counts for.
    charged: T,
    /// The tenant that it will wait with: another one when the object came back with another.
    tenant: T,
    /// What was woken while it ran.
    again: Option<Wish>,
    /// The object is gone, so what the pass plans next does not count.
    removed: bool,
}

impl<K: Clone + Ord, T: Clone + Ord> Queue<K, T> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (total, per_tenant) = (limits.total.max(1), limits.per_tenant.max(1));
        Self {
            limits: Limits {
                total,
                per_tenant,
                row: limits.row.clamp(1, per_tenant.min(total)),
            },
            objects: BTreeMap::new(),
            lanes: BTreeMap::new(),
            rings: std::array::from_fn(|_| BTreeSet::new()),
            crowds: BTreeSet::new(),
            favour_rows: [false; Class::ALL.len()],
            dues: BTreeSet::new(),
            changes: BTreeSet::new(),
            in_flight: 0,
            in_row: false,
            turn: 0,
            sequence: 0,
        }
    }

    /// Puts an object in, or moves it earlier or to a more urgent class; never later.
    ///
    /// An object in flight is remembered, and comes again when its pass is done. A `tenant` other than before
    /// moves it to that tenant.
    pub fn wake(&mut self, key: K, tenant: T, due: Timestamp, class: Class) {
        self.sequence += 1;
        let wish = Wish {
            due,
            class,
            sequence: self.sequence,
        };
        match self.objects.get_mut(&key) {
            Some(Place::InFlight(flight)) => {
                flight.tenant = tenant;
                flight.again = Some(flight.again.map_or(wish, |before| before.merged(wish)));
            }
            Some(Place::Waiting(_)) | None => self.put(key, &tenant, wish),
        }
    }

    /// Hands out the next object that is due at `now` and marks it in flight, or `None`.
    pub fn take(&mut self, now: Timestamp) -> Option<Taken<K>> {
        self.advance(now);
        if self.in_flight >= self.limits.total {
            return None;
        }
        let (bay, tenant) = self.next_turn()?;
        self.turn += 1;
        let turn = self.turn;
        let lane = self.lanes.get_mut(&tenant)?;
        let (key, wish) = lane.take(bay, turn, self.limits)?;
        let goes_on = lane.in_row(bay);
        self.in_flight += 1;
        if is_in_rows(bay) {
            // One that was broken off for want of room waits like those that have not begun.
            self.in_row = goes_on && self.in_flight < self.limits.total;
        }
        self.favour_rows[level(bay)] = !is_in_rows(bay) || self.in_row;
        self.reindex(&tenant);
        let flight = Box::new(Flight {
            charged: tenant.clone(),
            tenant,
            again: None,
            removed: false,
        });
        self.objects.insert(key.clone(), Place::InFlight(flight));
        Some(Taken {
            key,
            class: wish.class,
            due: wish.due,
        })
    }

    /// The pass ended; `next` is when to come back by schedule.
    ///
    /// A wake during the flight counts as well, as if it came right after. Without either the object is
    /// forgotten. Ignored for an object that is not in flight.
    pub fn done(&mut self, key: &K, next: Option<(Timestamp, Class)>) {
        let Some(flight) = self.landed(key) else {
            return;
        };
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(&flight.charged) {
            lane.land(self.limits);
        }
        self.reindex(&flight.charged);

        let next = next.filter(|_| !flight.removed).map(|(due, class)| {
            self.sequence += 1;
            Wish {
                due,
                class,
                sequence: self.sequence,
            }
        });
        let wish = match (next, flight.again) {
            (Some(next), Some(again)) => Some(next.merged(again)),
            (next, again) => next.or(again),
        };
        if let Some(wish) = wish {
            self.put(key.clone(), &flight.tenant, wish);
        }
    }

    /// Forgets an object that is gone.
    ///
    /// One in flight keeps its share until [`Queue::done`], which then ignores its `next`; a wake after the
    /// removal (the object came back) counts.
    pub fn remove(&mut self, key: &K) {
        match self.objects.get_mut(key) {
            None => {}
            Some(Place::InFlight(flight)) => {
                flight.again = None;
                flight.removed = true;
            }
            Some(Place::Waiting(tenant)) => {
                let tenant = tenant.clone();
                self.objects.remove(key);
                self.withdraw(&tenant, key);
            }
        }
    }

    /// The clock was set back by so much: what waits for an instant would come as much too late. It comes by the new
    /// clock when it would have come by the old one, or earlier than needed, which costs a look.
    pub fn set_back(&mut self, by: Duration) {
        let waiting: Vec<(K, T, Wish)> = self
            .lanes
            .iter()
            .flat_map(|(tenant, lane)| {
                let of_lane = lane.waiting();
                of_lane.map(|(key, wish)| (key.clone(), tenant.clone(), *wish))
            })
            .collect();
        for (key, tenant, wish) in waiting {
            self.remove(&key);
            self.wake(key, tenant, earlier(wish.due, by), wish.class);
        }
        for place in self.objects.values_mut() {
            match place {
                Place::InFlight(flight) => {
                    if let Some(again) = &mut flight.again {
                        again.due = earlier(again.due, by);
                    }
                }
                Place::Waiting(_) => {}
            }
        }
    }

    /// The earliest instant at which [`Queue::take`] could hand something out, given the limits: in the past
    /// when something is ready, `None` when nothing waits or the limits hold all of it. While there is no room for a row
    /// that is when something becomes due or rises, even if it then waits for that room.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.in_flight >= self.limits.total {
            return None;
        }
        if self.rows_wait() && self.next_turn().is_none() {
            return self.changes.first().map(|(at, _)| *at);
        }
        self.dues.first().map(|(due, _)| *due)
    }

    #[cfg(test)]
    /// How many objects are in flight.
    fn in_flight(&self) -> usize {
        self.in_flight
    }

    #[cfg(test)]
    /// How many objects it knows: waiting, scheduled for later, or in flight.
    fn len(&self) -> usize {
        self.objects.len()
    }

    /// Takes an object out of flight.
    fn landed(&mut self, key: &K) -> Option<Box<Flight<T>>> {
        match self.objects.remove(key)? {
            Place::InFlight(flight) => Some(flight),
            waiting @ Place::Waiting(_) => {
                self.objects.insert(key.clone(), waiting);
                None
            }
        }
    }

    /// Puts an object that is not in flight into the lane of `tenant`, joining what it waits for already.
    fn put(&mut self, key: K, tenant: &T, wish: Wish) {
        let place = Place::Waiting(tenant.clone());
        let waited = match self.objects.insert(key.clone(), place) {
            Some(Place::Waiting(before)) => self.withdraw(&before, &key),
            Some(Place::InFlight(_)) | None => None,
        };
        let turn = self.turn;
        self.lanes
            .entry(tenant.clone())
            .or_insert_with(|| Lane::joining_at(turn))
            .put(key, wish, waited);
        self.reindex(tenant);
    }

    /// Takes a waiting object out of its lane.
    fn withdraw(&mut self, tenant: &T, key: &K) -> Option<lane::Waiting> {
        let waiting = self.lanes.get_mut(tenant)?.withdraw(key);
        self.reindex(tenant);
        waiting
    }

    /// Lets what became due by `now` become ready, and what waited long rise, in lanes that have room.
    fn advance(&mut self, now: Timestamp) {
        while let Some((at, tenant)) = self.changes.first().cloned()
            && at <= now
        {
            let crowd = self.crowds.first().map_or(usize::MAX, |(level, _)| *level);
            if let Some(lane) = self.lanes.get_mut(&tenant) {
                lane.advance(now, crowd);
            }
            self.reindex(&tenant);
        }
    }

    /// Whether there is no room for a row.
    fn rows_wait(&self) -> bool {
        !self.in_row && self.in_flight + self.limits.row > self.limits.total
    }

    /// Both bays of a level, in the order in which it is their turn.
    const fn turns(&self, level: usize) -> [usize; 2] {
        let [singles, rows] = bays(level);
        if self.favour_rows[level] {
            [rows, singles]
        } else {
            [singles, rows]
        }
    }

    /// Whether it is the turn of a row that has risen to the highest level.
    fn is_turn_of_row(&self) -> bool {
        let highest = self.turns(0).into_iter();
        let mut ready = highest.filter(|bay| !self.rings[*bay].is_empty());
        ready.next().is_some_and(is_in_rows)
    }

    /// The most urgent bay that has something ready, and the tenant whose turn it is there.
    ///
    /// Single objects that take each place as it comes free would leave no room for a row for ever. So when it is the turn of
    /// one that has risen to the highest level, nothing is handed out until there is room for it.
    fn next_turn(&self) -> Option<(usize, T)> {
        let rows_wait = self.rows_wait();
        if rows_wait && self.is_turn_of_row() {
            return None;
        }
        (0..Class::ALL.len())
            .flat_map(|level| self.turns(level))
            .filter(|bay| !(is_in_rows(*bay) && rows_wait))
            .find_map(|bay| {
                let (_, tenant) = self.rings[bay].first()?;
                Some((bay, tenant.clone()))
            })
    }

    /// Brings the indexes up to date after a change in a lane; a lane without room is in none of them.
    fn reindex(&mut self, tenant: &T) {
        let Some(lane) = self.lanes.get_mut(tenant) else {
            return;
        };
        let fresh = lane.listing();
        let stale = lane.relist(fresh);
        if lane.is_idle() {
            self.lanes.remove(tenant);
        }
        relist(&mut self.crowds, stale.crowd, fresh.crowd, tenant);
        relist(&mut self.dues, stale.due, fresh.due, tenant);
        relist(&mut self.changes, stale.change, fresh.change, tenant);
        for ((ring, stale), fresh) in self.rings.iter_mut().zip(stale.turns).zip(fresh.turns) {
            relist(ring, stale, fresh, tenant);
        }
    }
}

fn relist<A: Copy + Ord, T: Clone + Ord>(
    index: &mut BTreeSet<(A, T)>,
    stale: Option<A>,
    fresh: Option<A>,
    tenant: &T,
) {
    if stale == fresh {
        return;
    }
    if let Some(stale) = stale {
        index.remove(&(stale, tenant.clone()));
    }
    if let Some(fresh) = fresh {
        index.insert((fresh, tenant.clone()));
    }
}
