//! Graph's own verdict on our notification URL, kept per cloud. While it is bad, one mailbox tries again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::mailbox::tenant_view::EndpointState;
use crate::ids::Uid;

/// So many refusals in a row make a verdict: a single one may be a hiccup of the network.
pub const REFUSALS: u32 = 2;

/// In which way Graph could not validate the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointProblem {
    /// The answer was not what Graph expects.
    Failed,
    /// No answer in time.
    TimedOut,
}

/// What each cloud said lately.
#[derive(Debug, Default)]
pub struct EndpointVerdicts {
    refused: BTreeMap<Arc<str>, Refused>,
}

#[derive(Debug)]
struct Refused {
    times: u32,
    problem: EndpointProblem,
    since: Timestamp,
    prober: Uid,
}

impl EndpointVerdicts {
    /// Graph accepted the URL; whether that is news.
    pub fn accepted(&mut self, cloud: &str) -> bool {
        self.refused.remove(cloud).is_some()
    }

    /// Graph refused the URL when `uid` tried.
    pub fn refused(
        &mut self,
        cloud: &Arc<str>,
        uid: Uid,
        problem: EndpointProblem,
        now: Timestamp,
    ) {
        let entry = self.refused.entry(Arc::clone(cloud)).or_insert(Refused {
            times: 0,
            problem,
            since: now,
            prober: uid,
        });
        entry.times = entry.times.saturating_add(1);
        entry.problem = problem;
    }

    /// The prober is gone: the next one that tries takes its place.
    pub fn forget(&mut self, uid: Uid) -> bool {
        let before = self.refused.len();
        self.refused.retain(|_, refused| refused.prober != uid);
        self.refused.len() != before
    }

    /// The problem, once it was seen often enough to be one, and since when.
    #[must_use]
    pub fn problem(&self, cloud: &str) -> Option<(EndpointProblem, Timestamp)> {
        self.refused
            .get(cloud)
            .filter(|refused| refused.times >= REFUSALS)
            .map(|refused| (refused.problem, refused.since))
    }

    /// Whether the object may try to create a subscription.
    #[must_use]
    pub fn state_for(&self, cloud: &str, uid: Uid) -> EndpointState {
        match self.refused.get(cloud) {
            Some(refused) if refused.prober != uid => EndpointState::LeftToAnother,
            Some(_) | None => EndpointState::Usable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_url_is_refused_one_mailbox_probes() {
        let first = Uid::from_bytes([1; 16]);
        let second = Uid::from_bytes([2; 16]);
        let cloud: Arc<str> = "Worldwide".into();
        let now = Timestamp::UNIX_EPOCH;
        let mut verdicts = EndpointVerdicts::default();
        assert_eq!(verdicts.state_for(&cloud, second), EndpointState::Usable);
        verdicts.refused(&cloud, first, EndpointProblem::Failed, now);
        assert_eq!(verdicts.problem(&cloud), None, "once is a hiccup");
        assert_eq!(verdicts.state_for(&cloud, first), EndpointState::Usable);
        assert_eq!(
            verdicts.state_for(&cloud, second),
            EndpointState::LeftToAnother
        );
        verdicts.refused(&cloud, first, EndpointProblem::TimedOut, now);
        assert_eq!(
            verdicts.problem(&cloud),
            Some((EndpointProblem::TimedOut, now))
        );
        assert!(verdicts.accepted(&cloud));
        assert_eq!(verdicts.state_for(&cloud, second), EndpointState::Usable);
    }
}
