//! Random sequences of calls, compared with a model that keeps one flat table and scans it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Class, Limits, Queue, Taken, at};

#[derive(Clone, Debug)]
enum Step {
    Wake(u8, u8, i64, Class),
    Take,
    Done(usize, Option<(i64, Class)>),
    Remove(u8),
    Pass(i64),
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(&Class::ALL[..])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..24_u8, 0..4_u8, -20..200_i64, class())
            .prop_map(|(key, tenant, due, class)| Step::Wake(key, tenant, due, class)),
        5 => Just(Step::Take),
        3 => (any::<usize>(), prop::option::of((0..300_i64, class())))
            .prop_map(|(which, next)| Step::Done(which, next)),
        1 => (0..24_u8).prop_map(Step::Remove),
        2 => (1..90_i64).prop_map(Step::Pass),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..8_usize, 1..6_usize, 1..4_usize).prop_map(|(total, per_tenant, row)| Limits {
        total,
        per_tenant,
        row: row.min(per_tenant).min(total),
    })
}

type Wish = (i64, Class);

fn merged(a: Option<Wish>, b: Option<Wish>) -> Option<Wish> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.min(b.1))),
        (a, b) => a.or(b),
    }
}

#[derive(Clone, Debug, Default)]
struct Row {
    tenant: u8,
    wish: Option<Wish>,
    charged: Option<u8>,
    removed: bool,
}

/// What the queue should hold, without any order.
#[derive(Default)]
struct Model {
    rows: BTreeMap<u8, Row>,
    /// Tenants that had as many in flight as they may, and have no room for a row yet.
    full: BTreeSet<u8>,
}

impl Model {
    fn wake(&mut self, key: u8, tenant: u8, wish: Wish) {
        let row = self.rows.entry(key).or_default();
        row.tenant = tenant;
        row.wish = merged(row.wish, Some(wish));
    }

    fn done(&mut self, key: u8, next: Option<Wish>, limits: Limits) {
        let row = self.rows.get_mut(&key).unwrap();
        let charged = row.charged.unwrap();
        let next = next.filter(|_| !row.removed);
        row.wish = merged(row.wish, next);
        row.charged = None;
        row.removed = false;
        self.drop_empty();
        if self.flying_of(charged) + limits.row <= limits.per_tenant {
            self.full.remove(&charged);
        }
    }

    fn taken(&mut self, key: u8, limits: Limits) {
        let row = self.rows.get_mut(&key).unwrap();
        let tenant = row.tenant;
        row.charged = Some(tenant);
        row.wish = None;
        if self.flying_of(tenant) >= limits.per_tenant {
            self.full.insert(tenant);
        }
    }

    fn remove(&mut self, key: u8) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.wish = None;
            row.removed = row.charged.is_some();
        }
        self.drop_empty();
    }

    fn drop_empty(&mut self) {
        self.rows
            .retain(|_, row| row.wish.is_some() || row.charged.is_some());
    }

    fn flying(&self) -> Vec<u8> {
        let flying = self.rows.iter().filter(|(_, row)| row.charged.is_some());
        flying.map(|(key, _)| *key).collect()
    }

    fn flying_of(&self, tenant: u8) -> usize {
        let of_tenant = |row: &&Row| row.charged == Some(tenant);
        self.rows.values().filter(of_tenant).count()
    }

    fn waiting(&self) -> impl Iterator<Item = (u8, u8, Wish)> {
        let waiting = self.rows.iter().filter(|(_, row)| row.charged.is_none());
        waiting.filter_map(|(key, row)| row.wish.map(|wish| (*key, row.tenant, wish)))
    }

    /// Whether what comes in rows may be kept back.
    fn rows_may_wait(&self, limits: Limits) -> bool {
        self.flying().len() + limits.row > limits.total
    }

    /// What the limits let through, now or later.
    fn free(&self, limits: Limits) -> Vec<(u8, Wish)> {
        if self.flying().len() >= limits.total {
            return Vec::new();
        }
        let free = self
            .waiting()
            .filter(|(_, tenant, _)| !self.full.contains(tenant));
        free.map(|(key, _, wish)| (key, wish)).collect()
    }
}

struct Run {
    queue: Queue<u8, u8>,
    model: Model,
    limits: Limits,
    now: i64,
    taken: Vec<Taken<u8>>,
}

impl Run {
    fn new(limits: Limits) -> Self {
        Self {
            queue: Queue::new(limits),
            model: Model::default(),
            limits,
            now: 0,
            taken: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wake(key, tenant, due, class) => {
                let due = self.now + due;
                self.queue.wake(*key, *tenant, at(due), *class);
                self.model.wake(*key, *tenant, (due, *class));
            }
            Step::Take => self.take()?,
            Step::Done(which, next) => {
                let flying = self.model.flying();
                if let Some(key) = flying.get(which % flying.len().max(1)) {
                    let next = next.map(|(after, class)| (self.now + after, class));
                    self.queue
                        .done(key, next.map(|(due, class)| (at(due), class)));
                    self.model.done(*key, next, self.limits);
                }
            }
            Step::Remove(key) => {
                self.queue.remove(key);
                self.model.remove(*key);
            }
            Step::Pass(seconds) => self.now += seconds,
        }
        self.compare()
    }

    fn take(&mut self) -> Result<(), TestCaseError> {
        let free = self.model.free(self.limits);
        let due: Vec<_> = free.iter().filter(|(_, w)| w.0 <= self.now).collect();
        let rows_may_wait = self.model.rows_may_wait(self.limits);
        let Some(taken) = self.queue.take(at(self.now)) else {
            let row_goes_first = self.queue.is_turn_of_row();
            let urgent = |(_, wish): &&(u8, Wish)| wish.1 < Class::First && !row_goes_first;
            let kept_back = due.into_iter().find(|it| !rows_may_wait || urgent(it));
            prop_assert_eq!(kept_back, None);
            let next = self.queue.next_due();
            prop_assert!(
                next.is_none_or(|next| next > at(self.now)),
                "nothing comes, but is announced"
            );
            return Ok(());
        };
        let expected = due.iter().find(|(key, _)| *key == taken.key);
        prop_assert!(expected.is_some(), "{taken:?} is not among {due:?}");
        let (_, (when, class)) = expected.unwrap();
        prop_assert_eq!((taken.due, taken.class), (at(*when), *class));
        self.model.taken(taken.key, self.limits);
        self.taken.push(taken);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let flying = self.model.flying().len();
        prop_assert!(flying <= self.limits.total);
        prop_assert!((0..4).all(|t| self.model.flying_of(t) <= self.limits.per_tenant));
        prop_assert_eq!(self.queue.in_flight(), flying);
        prop_assert_eq!(self.queue.len(), self.model.rows.len());
        let free = self.model.free(self.limits);
        let next = free.iter().map(|(_, wish)| wish.0).min().map(at);
        if self.model.rows_may_wait(self.limits) {
            let (announced, ready) = (
                self.queue.next_due(),
                free.iter().filter(|(_, wish)| wish.1 < Class::First),
            );
            let urgent = ready.map(|(_, wish)| wish.0).min().map(at);
            let urgent = urgent.filter(|_| !self.queue.is_turn_of_row());
            prop_assert!(urgent.is_none_or(|due| announced.is_some_and(|at| at <= due)));
        } else {
            prop_assert_eq!(self.queue.next_due(), next);
        }
        let mut depths = [0; 4];
        for (_, _, (due, class)) in self.model.waiting() {
            depths[class.index()] += usize::from(due <= self.now);
        }
        let backlogs = self.queue.backlogs(at(self.now));
        prop_assert_eq!(backlogs.map(|backlog| backlog.depth), depths);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_holds_hands_out_and_forgets_exactly_what_the_model_says(
        limits in limits(),
        steps in vec(step(), 0..200),
    ) {
        let mut run = Run::new(limits);
        for step in &steps {
            run.step(step)?;
        }
        // Whatever is left comes out, each object once.
        run.now += 1_000;
        while run.queue.len() > 0 {
            let flying = run.model.flying();
            for key in flying {
                run.queue.done(&key, None);
                run.model.done(key, None, limits);
            }
            run.step(&Step::Take)?;
        }
        prop_assert!(run.model.rows.is_empty());
    }

    #[test]
    fn equal_calls_have_equal_outcomes(limits in limits(), steps in vec(step(), 0..200)) {
        let outcome = || {
            let mut run = Run::new(limits);
            steps.iter().try_for_each(|step| run.step(step)).map(|()| run.taken)
        };
        prop_assert_eq!(outcome()?, outcome()?);
    }

    #[test]
    fn within_a_minute_no_class_is_overtaken_by_a_less_urgent_one(
        wakes in vec((any::<u16>(), 0..5_u8, 0..60_i64, class()), 1..100),
    ) {
        let mut queue = Queue::new(super::WIDE);
        for (key, tenant, due, class) in &wakes {
            queue.wake(*key, *tenant, at(*due), *class);
        }
        let classes: Vec<_> = std::iter::from_fn(|| queue.take(at(59)))
            .map(|taken| taken.class)
            .collect();
        prop_assert!(classes.is_sorted(), "{classes:?}");
    }

    #[test]
    fn no_object_waits_longer_than_its_class_and_the_queue_before_it(
        floods in vec((0..3_u8, class()), 1..4),
        tenant in 0..3_u8,
        class in class(),
    ) {
        let one = Limits { total: 1, per_tenant: 1, row: 1 };
        let mut queue = Queue::new(one);
        queue.wake(0_u64, tenant, at(0), class);
        // Each second one object leaves and several others arrive, all of them more urgent or as urgent.
        let mut waited = None;
        for second in 0..1_200_u32 {
            for (lane, (tenant, class)) in (1..).zip(&floods) {
                queue.wake(u64::from(second) * 8 + lane, *tenant, at(second.into()), *class);
            }
            let taken = queue.take(at(second.into())).unwrap();
            queue.done(&taken.key, None);
            if taken.key == 0 {
                waited = Some(second);
                break;
            }
        }
        // Three minutes to the top. There at most 240 that arrived in the first two minutes are before it, and they get at
        // least every fourth turn: rows and single objects alternate, and in rows the newest and the oldest.
        prop_assert!(waited.is_some_and(|seconds| seconds < 1_140), "{waited:?} {floods:?}");
    }
}
