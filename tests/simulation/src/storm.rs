//! A storm: people edit everything, and everything fails.

use std::ops::Range;
use std::time::Duration;

use graph_emulator::Faults;
use hybrid_calendar_operator::clock::sleep;
use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::copies::COPIES;
use crate::link::Point;
use crate::play::Stage;
use crate::{town, weather};

/// In a storm, among everything that happens.
const BURSTS: f64 = 0.03;

/// How long all calls, or all of one kind, are refused.
const BURST: Range<Duration> = Duration::from_secs(30)..Duration::from_mins(8);

/// In a storm, among everything that happens.
const REFUSALS: f64 = 0.02;

/// How long the API server refuses all statuses: sweeps come several times meanwhile.
const REFUSAL: Range<Duration> = Duration::from_mins(5)..Duration::from_mins(75);

/// How long everything stands still but the clocks, as on a machine that gives no processor time to anybody.
const STANDSTILL: Range<Duration> = Duration::from_secs(5)..Duration::from_mins(5);

impl Stage {
    /// People edit everything, and everything fails.
    pub(crate) async fn storm(&self) {
        let longest = if self.is_short() { 1 } else { 6 };
        let length = self
            .dice
            .within(Duration::from_mins(30)..Duration::from_hours(longest));
        let violence = self.dice.share() * 0.5;
        let pace = self
            .dice
            .within(Duration::from_mins(1)..Duration::from_mins(10));
        let (weather, faults) = (weather::storm(&self.dice), weather::faults(&self.dice));
        self.witness.note(format_args!(
            "a storm begins: {weather:?} {faults:?} violence {violence}"
        ));
        self.witness.count("storms");
        self.sky.set(weather);
        self.graph.set_faults(faults.clone());
        town::take_doubles(&self.graph, self.dice.chance(0.5));
        self.guard().weather(false, &self.witness);
        let mut pauses = JoinSet::new();
        let end = Instant::now() + length;
        while Instant::now() < end {
            sleep(self.dice.about(pace)).await;
            if self.dice.chance(BURSTS) {
                self.burst(&faults).await;
            } else if self.dice.chance(REFUSALS) {
                self.refuse_statuses(&mut pauses);
            } else if self.dice.chance(violence) {
                self.hurt(&mut pauses).await;
            } else {
                let mut town = self.town();
                self.people.edit(&mut town);
                self.guard().changed(&town, &self.graph, &self.witness);
            }
        }
    }

    /// For some minutes it is much worse at Graph.
    async fn burst(&self, faults: &Faults) {
        let burst = weather::burst(&self.dice);
        self.witness.note(format_args!("a burst begins: {burst:?}"));
        self.witness.count("bursts of refusals");
        let mut worse = faults.clone();
        worse.rules.insert(0, burst);
        self.graph.set_faults(worse);
        sleep(self.dice.within(BURST)).await;
        self.graph.set_faults(faults.clone());
    }

    /// For a while the API server takes no statuses, and all else.
    fn refuse_statuses(&self, pauses: &mut JoinSet<()>) {
        let length = self.dice.within(REFUSAL);
        self.witness
            .note(format_args!("statuses are refused for {length:?}"));
        self.witness.count("refusals of all statuses");
        let sky = self.sky.clone();
        sky.refuse_statuses(true);
        pauses.spawn(async move {
            sleep(length).await;
            sky.refuse_statuses(false);
        });
    }

    /// Everything stands still, with all its timers: nobody can tell until it is over. Meanwhile somebody may have taken
    /// the Lease, as another copy would have done if it had stood on another machine.
    async fn stand_still(&self) {
        let pause = self.dice.within(STANDSTILL);
        let taken = self.dice.chance(0.5) && pause > self.copies.lease();
        self.witness.note(format_args!(
            "everything stands still for {pause:?}; the Lease is taken: {taken}"
        ));
        self.witness.count("standstills");
        if taken {
            self.copies.take_lease(&self.ground);
        }
        tokio::time::advance(pause).await;
    }

    /// Something happens to a copy.
    async fn hurt(&self, pauses: &mut JoinSet<()>) {
        let copy = self.dice.below(COPIES);
        let count = u32::try_from(self.dice.below(40)).unwrap_or_default();
        match self.dice.below(7) {
            0 => self.copies.kill(copy),
            1 => self.copies.kill_at(copy, Point::BeforeRequest, count),
            2 => self.copies.kill_at(copy, Point::AfterEffect, count),
            3 => self.copies.order_stop(copy),
            4 => {
                let pause = self
                    .dice
                    .within(Duration::from_secs(1)..Duration::from_secs(90));
                self.witness.count("pauses");
                let copies = self.copies.clone();
                pauses.spawn(async move { copies.pause(copy, pause).await });
            }
            5 => self.stand_still().await,
            _ => {
                let far = if self.dice.chance(0.2) { 10_000 } else { 300 };
                let seconds = i64::try_from(self.dice.below(2 * far)).unwrap_or_default();
                let far = i64::try_from(far).unwrap_or_default();
                let ahead = SignedDuration::from_secs(seconds - far);
                self.witness
                    .note(format_args!("the clock of copy-{copy} is {ahead:?} ahead"));
                self.witness.count("clock jumps");
                self.copies.set_clock(copy, self.graph.now(), ahead);
            }
        }
    }
}
