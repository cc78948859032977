//! Graph's own verdict on our notification URL, kept per cloud. While it is bad, one mailbox tries again.
//!
//! That one holds the role on a lease, since it may stop trying for a hundred reasons that nobody would tell: it is
//! suspended, its tenant loses its token, another check fails. When the lease has run out, whoever tries first
//! takes the role over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::mailbox::tenant_view::EndpointState;
use super::schedule::{between, earlier, later};
use crate::ids::Uid;

/// So many refusals in a row make a verdict: a single one may be a hiccup of the network.
pub const REFUSALS: u32 = 2;

/// What an attempt may take, however short the waits between attempts are: Graph's time to validate, and ours.
const ATTEMPT: Duration = Duration::from_secs(30);

/// In which way Graph could not validate the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointProblem {
    /// The answer was not what Graph expects.
    Failed,
    /// No answer in time.
    TimedOut,
}

/// Graph's verdict on our notification URL, as far as a cloud has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointVerdict {
    /// No subscription was tried yet.
    #[default]
    Unknown,
    /// It validated it.
    Accepted,
    /// It could not validate it.
    Rejected {
        /// In which way, last.
        problem: EndpointProblem,
        /// How often in a row.
        times: u32,
    },
    /// Nothing better is known, and no mailbox waits for a subscription: nobody tries.
    NobodyTries,
}

impl EndpointVerdict {
    /// Whether it was refused often enough to be a problem.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        matches!(
            self,
            Self::Rejected {
                times: REFUSALS..,
                ..
            }
        )
    }
}

/// What each cloud said lately.
#[derive(Debug, Default)]
pub struct EndpointVerdicts {
    clouds: BTreeMap<Arc<str>, Said>,
}

#[derive(Debug)]
enum Said {
    Accepted,
    Refused(Refused),
}

#[derive(Debug)]
struct Refused {
    times: u32,
    problem: EndpointProblem,
    prober: Uid,
    /// From then on anybody may try.
    probe_by: Timestamp,
}

impl EndpointVerdicts {
    /// Graph accepted the URL; whether it had refused it before.
    pub fn accepted(&mut self, cloud: &Arc<str>) -> bool {
        let before = self.clouds.insert(Arc::clone(cloud), Said::Accepted);
        matches!(before, Some(Said::Refused(_)))
    }

    /// Graph refused the URL when `uid` tried, which tries again at `next_try` unless something keeps it from that.
    pub fn refused(
        &mut self,
        cloud: &Arc<str>,
        (uid, next_try): (Uid, Timestamp),
        problem: EndpointProblem,
        now: Timestamp,
    ) {
        let times = match self.clouds.get(cloud) {
            Some(Said::Refused(refused)) => refused.times,
            Some(Said::Accepted) | None => 0,
        };
        let refused = Refused {
            times: times.saturating_add(1),
            problem,
            prober: uid,
            // Twice the wait, so that a prober that is only slow keeps the role.
            probe_by: later(
                now,
                between(now, next_try)
                    .saturating_mul(2)
                    .saturating_add(ATTEMPT),
            ),
        };
        self.clouds
            .insert(Arc::clone(cloud), Said::Refused(refused));
    }

    /// As [`EndpointVerdicts::state_for`] an object that tries right now if it may: it has the role from then on.
    pub fn claim(&mut self, cloud: &str, uid: Uid, now: Timestamp) -> EndpointState {
        let state = self.state_for(cloud, uid, now);
        if let Some(Said::Refused(refused)) = self.clouds.get_mut(cloud)
            && state == EndpointState::Usable
        {
            refused.prober = uid;
            refused.probe_by = refused.probe_by.max(later(now, ATTEMPT));
        }
        state
    }

    /// The prober is gone: the next one that tries takes its place. Whether there was one.
    pub fn forget(&mut self, uid: Uid, now: Timestamp) -> bool {
        let mut released = false;
        for said in self.clouds.values_mut() {
            match said {
                Said::Refused(refused) if refused.prober == uid => {
                    refused.probe_by = now;
                    released = true;
                }
                Said::Refused(_) | Said::Accepted => {}
            }
        }
        released
    }

    /// The clock was set back by so much.
    pub fn set_back(&mut self, by: Duration) {
        for said in self.clouds.values_mut() {
            match said {
                Said::Refused(refused) => refused.probe_by = earlier(refused.probe_by, by),
                Said::Accepted => {}
            }
        }
    }

    /// What a cloud said last.
    #[must_use]
    pub fn of(&self, cloud: &str) -> EndpointVerdict {
        match self.clouds.get(cloud) {
            None => EndpointVerdict::Unknown,
            Some(Said::Accepted) => EndpointVerdict::Accepted,
            Some(Said::Refused(refused)) => EndpointVerdict::Rejected {
                problem: refused.problem,
                times: refused.times,
            },
        }
    }

    /// Whether the object may try to create a subscription.
    #[must_use]
    pub fn state_for(&self, cloud: &str, uid: Uid, now: Timestamp) -> EndpointState {
        match self.clouds.get(cloud) {
            Some(Said::Refused(refused)) if refused.prober != uid && now < refused.probe_by => {
                EndpointState::LeftToAnother {
                    until: refused.probe_by,
                }
            }
            Some(_) | None => EndpointState::Usable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::samples::{at, uid};
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Refused when the first mailbox tried, which tries again in five minutes.
    fn refused_once() -> (EndpointVerdicts, Arc<str>, Timestamp) {
        let cloud: Arc<str> = "Worldwide".into();
        let now = at("2026-11-24T08:00:00Z");
        let mut verdicts = EndpointVerdicts::default();
        let probe = (uid(1), later(now, 5 * MINUTE));
        verdicts.refused(&cloud, probe, EndpointProblem::Failed, now);
        (verdicts, cloud, now)
    }

    #[test]
    fn while_the_url_is_refused_one_mailbox_probes() {
        let (mut verdicts, cloud, now) = refused_once();
        let until = later(now, 10 * MINUTE + ATTEMPT);
        assert!(!verdicts.of(&cloud).is_problem(), "once is a hiccup");
        assert_eq!(
            verdicts.state_for(&cloud, uid(1), now),
            EndpointState::Usable
        );
        assert_eq!(
            verdicts.state_for(&cloud, uid(2), now),
            EndpointState::LeftToAnother { until }
        );
        assert_ne!(verdicts.claim(&cloud, uid(2), now), EndpointState::Usable);
        verdicts.refused(&cloud, (uid(1), now), EndpointProblem::TimedOut, now);
        assert!(verdicts.of(&cloud).is_problem());
        assert!(verdicts.accepted(&cloud));
        assert!(!verdicts.accepted(&cloud), "that is no news");
        assert_eq!(verdicts.of(&cloud), EndpointVerdict::Accepted);
        assert_eq!(
            verdicts.state_for(&cloud, uid(2), now),
            EndpointState::Usable
        );
    }

    #[test]
    fn a_prober_that_stops_trying_is_followed_by_one_other() {
        let (mut verdicts, cloud, now) = refused_once();
        let now = later(now, 10 * MINUTE + ATTEMPT);
        for waiting in [2, 3] {
            assert_eq!(
                verdicts.state_for(&cloud, uid(waiting), now),
                EndpointState::Usable
            );
        }
        assert_eq!(verdicts.claim(&cloud, uid(3), now), EndpointState::Usable);
        assert_ne!(
            verdicts.claim(&cloud, uid(2), now),
            EndpointState::Usable,
            "one at a time"
        );
        assert_eq!(
            verdicts.claim(&cloud, uid(3), now),
            EndpointState::Usable,
            "it has the role"
        );
        assert_eq!(
            verdicts.state_for(&cloud, uid(2), now),
            EndpointState::LeftToAnother {
                until: later(now, ATTEMPT)
            },
            "should that one not come to trying"
        );
        let probe = (uid(3), later(now, 8 * MINUTE));
        verdicts.refused(&cloud, probe, EndpointProblem::Failed, now);
        assert!(verdicts.of(&cloud).is_problem(), "whoever tried");
        assert_eq!(
            verdicts.state_for(&cloud, uid(1), now),
            EndpointState::LeftToAnother {
                until: later(now, 16 * MINUTE + ATTEMPT)
            }
        );
    }

    #[test]
    fn a_prober_that_is_deleted_leaves_the_role_but_not_the_verdict() {
        let (mut verdicts, cloud, now) = refused_once();
        assert!(!verdicts.forget(uid(2), now));
        assert!(verdicts.forget(uid(1), now));
        assert_ne!(verdicts.of(&cloud), EndpointVerdict::Unknown);
        assert_eq!(verdicts.claim(&cloud, uid(2), now), EndpointState::Usable);
    }
}
