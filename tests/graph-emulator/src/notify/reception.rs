//! How quickly receivers answer, and what Graph does with those that are slow all the time.
//!
//! When more than a tenth of the answers in ten minutes take longer than three seconds, new notifications
//! wait for ten minutes; when more than 15 % take longer than ten seconds, they are dropped for ten minutes.
//! Then the receiver gets another chance. From how many answers on shares are looked at is not documented.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// Over this an answer is slow.
pub(super) const FIRST_TIMEOUT: Duration = Duration::from_secs(3);
/// Over this it is late.
pub(super) const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

const WINDOW: Duration = Duration::from_mins(10);
const HOLD: Duration = Duration::from_mins(10);
/// Fewer answers say nothing about a receiver.
const FEWEST: usize = 10;

/// More answers are not remembered.
const MOST: usize = 10_000;

/// What becomes of a new notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    Open,
    Delayed(Timestamp),
    Dropped(Timestamp),
}

/// How long a receiver took, or at least took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speed {
    Quick,
    Slow,
    Late,
}

impl Speed {
    pub(super) fn of(took: Duration) -> Self {
        if took >= RETRY_TIMEOUT {
            Self::Late
        } else if took >= FIRST_TIMEOUT {
            Self::Slow
        } else {
            Self::Quick
        }
    }
}

/// All receivers, by host and port: subscriptions of one receiver share its fate.
#[derive(Debug, Default)]
pub(crate) struct Receivers(HashMap<String, Receiver>);

#[derive(Debug, Default)]
struct Receiver {
    answers: VecDeque<(Timestamp, Speed)>,
    held: Option<(Reception, Timestamp)>,
    /// Subscriptions that lost something since the receiver is held.
    losers: HashSet<String>,
}

fn name(url: &str) -> String {
    let url = url::Url::parse(url);
    url.map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

impl Receivers {
    pub(super) fn answered(&mut self, url: &str, speed: Speed, now: Timestamp) {
        let receiver = self.0.entry(name(url)).or_default();
        if receiver.answers.len() == MOST {
            receiver.answers.pop_front();
        }
        receiver.answers.push_back((now, speed));
    }

    pub(super) fn reception(&mut self, url: &str, now: Timestamp) -> Reception {
        let receiver = self.0.get_mut(&name(url));
        receiver.map_or(Reception::Open, |receiver| receiver.reception(now))
    }

    /// Whether this is the first loss of a subscription while its receiver is held.
    pub(super) fn lost(&mut self, url: &str, subscription: &str) -> bool {
        let receiver = self.0.entry(name(url)).or_default();
        receiver.losers.insert(subscription.to_owned())
    }
}

impl Receiver {
    fn reception(&mut self, now: Timestamp) -> Reception {
        if let Some((reception, until)) = self.held {
            if now < until {
                return reception;
            }
            self.held = None;
            self.losers.clear();
            self.answers.clear();
        }
        while let Some((at, _)) = self.answers.front() {
            if after(*at, WINDOW) > now {
                break;
            }
            self.answers.pop_front();
        }
        let all = self.answers.len();
        let over = |limit: Speed| {
            self.answers
                .iter()
                .filter(|(_, speed)| *speed >= limit)
                .count()
        };
        let until = after(now, HOLD);
        let reception = if all < FEWEST {
            Reception::Open
        } else if over(Speed::Late) * 100 > all * 15 {
            Reception::Dropped(until)
        } else if over(Speed::Slow) * 100 > all * 10 {
            Reception::Delayed(until)
        } else {
            Reception::Open
        };
        if reception != Reception::Open {
            self.held = Some((reception, until));
        }
        reception
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://receiver.example/notifications";

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn receivers(quick: usize, other: usize, speed: Speed) -> Receivers {
        let mut receivers = Receivers::default();
        for _ in 0..quick {
            receivers.answered(URL, Speed::Quick, at(0));
        }
        for _ in 0..other {
            receivers.answered("https://receiver.example/lifecycle", speed, at(0));
        }
        receivers
    }

    #[test]
    fn shares_over_the_limits_delay_or_drop_what_is_new() {
        let rows = [
            (0, 9, Speed::Late, Reception::Open),
            (18, 2, Speed::Slow, Reception::Open),
            (17, 3, Speed::Slow, Reception::Delayed(at(10))),
            (17, 3, Speed::Late, Reception::Delayed(at(10))),
            (16, 4, Speed::Late, Reception::Dropped(at(10))),
        ];
        for (quick, other, speed, expected) in rows {
            let mut receivers = receivers(quick, other, speed);
            let found = receivers.reception(URL, at(0));
            assert_eq!(found, expected, "{quick} {other} {speed:?}");
            let elsewhere = receivers.reception("https://receiver.example:8443/", at(0));
            assert_eq!(elsewhere, Reception::Open);
        }
    }

    #[test]
    fn a_receiver_gets_another_chance_and_old_answers_are_forgotten() {
        let mut held = receivers(0, 10, Speed::Late);
        assert_eq!(held.reception(URL, at(5)), Reception::Dropped(at(15)));
        assert!(held.lost(URL, "one"));
        assert!(!held.lost(URL, "one"));
        assert_eq!(held.reception(URL, at(14)), Reception::Dropped(at(15)));
        assert_eq!(held.reception(URL, at(15)), Reception::Open);
        assert!(held.lost(URL, "one"));
        let mut old = receivers(0, 10, Speed::Late);
        assert_eq!(old.reception(URL, at(10)), Reception::Open);
    }

    #[test]
    fn a_time_is_a_speed() {
        assert_eq!(Speed::of(Duration::from_millis(2_999)), Speed::Quick);
        assert_eq!(Speed::of(FIRST_TIMEOUT), Speed::Slow);
        assert_eq!(Speed::of(RETRY_TIMEOUT), Speed::Late);
    }
}
