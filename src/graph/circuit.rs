//! Whether a host that keeps failing is asked at all. A plain state machine; `breaker` asks it.
//!
//! It speaks of the host, not of what was asked: "not found" and "too many requests" are answers, and so is an internal
//! error about one mailbox. Only a row of calls that got no answer, or one that a gateway in front of the service gave,
//! opens it. Then one call at a time finds out whether the host is back, at intervals that double.

use std::time::Duration;

use tokio::time::Instant;

/// So many calls in a row, retries included, have to fail.
const FAILURES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The way to one host.
#[derive(Debug)]
pub(super) enum Circuit {
    /// Calls pass; so many of the last failed in a row.
    Closed { failures: u32 },
    /// No call passes before `until`.
    Open { until: Instant, wait: Duration },
    /// One call passes; until it has found out, the others get at once what the last one got.
    Probing { wait: Duration },
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Pass.
    Free,
    /// Pass, and find out for all whether the host is back: one attempt is enough.
    Probe,
    /// Not pass.
    Barred,
}

/// What became of a call, as far as it speaks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The host answered.
    Answered,
    /// It did not.
    Failed,
    /// The call was given up, or not made.
    Nothing,
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether a call may pass at `now`.
    pub(super) fn ask(&mut self, now: Instant) -> Passage {
        match *self {
            Self::Closed { .. } => Passage::Free,
            Self::Open { until, wait } if until <= now => {
                *self = Self::Probing { wait };
                Passage::Probe
            }
            Self::Open { .. } | Self::Probing { .. } => Passage::Barred,
        }
    }

    /// Whether calls are kept from the host.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }

    /// Learns what became of a call that had this passage. Returns whether that opened the circuit.
    pub(super) fn learn(&mut self, passage: Passage, evidence: Evidence, now: Instant) -> bool {
        match (passage, evidence) {
            // Whichever call was answered, whenever it began: the host is there.
            (_, Evidence::Answered) => {
                *self = Self::default();
                false
            }
            (Passage::Free, Evidence::Failed) => self.count_failure(now),
            (Passage::Probe, Evidence::Failed) => {
                if let Self::Probing { wait } = *self {
                    let wait = (wait * 2).min(LONGEST_WAIT);
                    *self = Self::Open {
                        until: now + wait,
                        wait,
                    };
                }
                false
            }
            (Passage::Probe, Evidence::Nothing) => {
                // It was given up: the next one may try at once.
                if let Self::Probing { wait } = *self {
                    *self = Self::Open { until: now, wait };
                }
                false
            }
            (Passage::Free, Evidence::Nothing) | (Passage::Barred, _) => false,
        }
    }

    fn count_failure(&mut self, now: Instant) -> bool {
        let Self::Closed { failures } = self else {
            // It began before the circuit opened.
            return false;
        };
        *failures += 1;
        let opens = *failures >= FAILURES;
        if opens {
            *self = Self::Open {
                until: now + FIRST_WAIT,
                wait: FIRST_WAIT,
            };
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for number in 1..=FAILURES {
            assert_eq!(circuit.ask(now), Passage::Free);
            let opened = circuit.learn(Passage::Free, Evidence::Failed, now);
            assert_eq!(opened, number == FAILURES);
        }
        circuit
    }

    #[test]
    fn an_answer_in_between_keeps_it_closed() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES {
                circuit.learn(Passage::Free, Evidence::Failed, now);
            }
            circuit.learn(Passage::Free, Evidence::Answered, now);
        }
        assert_eq!(circuit.ask(now), Passage::Free);
    }

    #[test]
    fn one_call_at_a_time_asks_a_failing_host_at_intervals_that_double() {
        let start = Instant::now();
        let mut circuit = failing(start);
        let (mut now, mut pauses) = (start, Vec::new());
        for _ in 0..9 {
            let asked_before = now;
            while circuit.ask(now) != Passage::Probe {
                now += Duration::from_secs(1);
            }
            assert_eq!(circuit.ask(now), Passage::Barred);
            circuit.learn(Passage::Probe, Evidence::Failed, now);
            pauses.push((now - asked_before).as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        while circuit.ask(now) != Passage::Probe {
            now += Duration::from_secs(1);
        }
        circuit.learn(Passage::Probe, Evidence::Answered, now);
        assert_eq!(circuit.ask(now), Passage::Free);
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_turn_to_the_next() {
        let start = Instant::now();
        let mut circuit = failing(start);
        let later = start + FIRST_WAIT;
        assert_eq!(circuit.ask(later), Passage::Probe);
        circuit.learn(Passage::Probe, Evidence::Nothing, later);
        assert_eq!(circuit.ask(later), Passage::Probe);
    }

    #[test]
    fn calls_that_began_before_it_opened_do_not_keep_it_open() {
        let start = Instant::now();
        let mut circuit = failing(start);
        let later = start + Duration::from_secs(4);
        for _ in 0..20 {
            circuit.learn(Passage::Free, Evidence::Failed, later);
        }
        assert_eq!(circuit.ask(start + FIRST_WAIT), Passage::Probe);
    }

    #[test]
    fn a_late_answer_closes_it() {
        let start = Instant::now();
        let mut circuit = failing(start);
        circuit.learn(Passage::Free, Evidence::Answered, start);
        assert_eq!(circuit.ask(start), Passage::Free);
    }
}
