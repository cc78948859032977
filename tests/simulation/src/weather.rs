//! How bad it is just now on the ways between copies, API server and receivers. What Graph does wrong is the emulator's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use graph_emulator::{Cut, FaultRule, Faults, NotificationFaults, Operation};

use crate::dice::Dice;

/// A way on which requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the API server.
    Cluster,
    /// To Entra and Graph.
    Microsoft,
    /// To another copy.
    Copies,
    /// From Graph to a receiver.
    Notifications,
}

/// Shares of requests to which something happens, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rough {
    /// They do not leave.
    pub(crate) refused: f64,
    /// They are lost, or their answer is.
    pub(crate) cut: f64,
    /// They are answered with a 5xx.
    pub(crate) failing: f64,
    /// They take up to some seconds longer.
    pub(crate) slow: f64,
    /// They take longer than anybody waits.
    pub(crate) hanging: f64,
}

/// On each way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    pub(crate) cluster: Rough,
    /// What watches show comes up to so much later.
    pub(crate) late: Duration,
    /// Whether the API server refuses every status, as it does while an admission webhook for them cannot be reached.
    pub(crate) statuses_refused: bool,
    pub(crate) copies: Rough,
    pub(crate) notifications: Rough,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Until it arrives.
    pub(crate) going: Duration,
    /// Until the answer arrives.
    pub(crate) coming: Duration,
    pub(crate) mishap: Option<Mishap>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    Refused,
    LostOnTheWay,
    AnswerLost,
    Failing,
    Hanging,
}

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Sky {
    dice: Dice,
    now: Arc<Mutex<Weather>>,
}

/// By so much news of watches is late in a storm.
const LATEST: Duration = Duration::from_secs(40);

/// Longer than any patience of a copy.
pub(crate) const HANG: Duration = Duration::from_mins(2);

impl Sky {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            dice,
            now: Arc::default(),
        }
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Whether statuses are refused from now on.
    pub(crate) fn refuse_statuses(&self, refused: bool) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.statuses_refused = refused;
    }

    /// Whether statuses are refused just now.
    pub(crate) fn refuses_statuses(&self) -> bool {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.statuses_refused
    }

    /// How much later the next news of a watch comes.
    pub(crate) fn lateness(&self) -> Duration {
        let late = self.now.lock().unwrap_or_else(PoisonError::into_inner).late;
        if late.is_zero() {
            return late;
        }
        self.dice.within(Duration::ZERO..late)
    }

    /// What happens to the next request on a way.
    pub(crate) fn fate(&self, way: Way) -> Fate {
        let now = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (rough, usual) = match way {
            Way::Cluster => (now.cluster, 1..12),
            Way::Microsoft => (Rough::default(), 20..150),
            Way::Copies => (now.copies, 1..5),
            Way::Notifications => (now.notifications, 5..40),
        };
        let milliseconds = Duration::from_millis(usual.start)..Duration::from_millis(usual.end);
        let mut going = self.dice.within(milliseconds);
        let mut coming = going / 4;
        if rough == Rough::default() {
            return Fate {
                going,
                coming,
                mishap: None,
            };
        }
        if self.dice.chance(rough.slow) {
            let long = self.dice.within(Duration::ZERO..Duration::from_secs(8));
            if self.dice.chance(0.5) {
                going += long;
            } else {
                coming += long;
            }
        }
        let mut left = self.dice.share();
        let mut happens = |share: f64| {
            let hit = left < share;
            left -= share;
            hit
        };
        let mishap = if happens(rough.refused) {
            Some(Mishap::Refused)
        } else if happens(rough.cut) {
            Some(if self.dice.chance(0.5) {
                Mishap::LostOnTheWay
            } else {
                Mishap::AnswerLost
            })
        } else if happens(rough.failing) {
            Some(Mishap::Failing)
        } else if happens(rough.hanging) {
            Some(Mishap::Hanging)
        } else {
            None
        };
        Fate {
            going,
            coming,
            mishap,
        }
    }
}

/// A storm's weather: each way may be spared.
pub(crate) fn storm(dice: &Dice) -> Weather {
    let rough = |worst: f64| {
        if dice.chance(0.4) {
            return Rough::default();
        }
        let share = |most: f64| dice.share() * most * worst;
        Rough {
            refused: share(0.1),
            cut: share(0.15),
            failing: share(0.2),
            slow: share(0.4),
            hanging: share(0.05),
        }
    };
    Weather {
        cluster: rough(0.35),
        late: if dice.chance(0.5) {
            Duration::ZERO
        } else {
            dice.within(Duration::ZERO..LATEST)
        },
        statuses_refused: false,
        copies: rough(1.5),
        notifications: rough(1.5),
    }
}

/// What Graph and Entra do wrong in a storm: less than half of the calls fail.
pub(crate) fn faults(dice: &Dice) -> Faults {
    let mut rules = Vec::new();
    let worst = if dice.chance(0.3) { 0.0 } else { dice.share() };
    let mut add = |most: f64, rule: FaultRule| {
        let rate = Some(worst * most * dice.share());
        rules.push(FaultRule { rate, ..rule });
    };
    for status in [503, 500, 504, 429] {
        add(
            0.1,
            FaultRule {
                operation: Operation::Any,
                status: Some(status),
                retry_after: (status == 429).then(|| (1 + dice.below(60) as u64).into()),
                ..FaultRule::default()
            },
        );
    }
    for cut in [Cut::Before, Cut::After] {
        add(
            0.06,
            FaultRule {
                operation: Operation::Any,
                cut: Some(cut),
                ..FaultRule::default()
            },
        );
    }
    add(
        0.05,
        FaultRule {
            operation: Operation::Any,
            delay: Some(HANG),
            ..FaultRule::default()
        },
    );
    add(
        0.2,
        FaultRule {
            operation: Operation::Any,
            delay_after: Some(dice.within(Duration::from_secs(1)..Duration::from_secs(9))),
            ..FaultRule::default()
        },
    );
    Faults {
        rules,
        notifications: NotificationFaults {
            drop: dice.chance(0.2),
            duplicate: dice.chance(0.2),
            reorder: dice.chance(0.2),
            delay: dice
                .chance(0.2)
                .then(|| dice.within(Duration::from_secs(1)..Duration::from_mins(20))),
        },
    }
}

/// For some minutes Graph says to everybody that it is too much, or that it is broken, or nothing.
pub(crate) fn burst(dice: &Dice) -> FaultRule {
    let operations = [
        Operation::Any,
        Operation::Batch,
        Operation::CreateSubscription,
        Operation::RenewSubscription,
        Operation::ListSubscriptions,
        Operation::Token,
    ];
    let operation = dice.one(&operations).copied().unwrap_or_default();
    let asked = 1 + dice.below(90) as u64;
    match dice.below(4) {
        0 => FaultRule {
            operation,
            cut: Some(Cut::Before),
            ..FaultRule::default()
        },
        1 => FaultRule {
            operation,
            status: Some(503),
            ..FaultRule::default()
        },
        _ => FaultRule {
            operation,
            status: Some(429),
            retry_after: Some(asked.into()),
            ..FaultRule::default()
        },
    }
}
