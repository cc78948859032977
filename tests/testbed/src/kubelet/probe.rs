//! Probes as a state machine: when each is due, and what its answers mean. Asks nobody anything itself.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Until it succeeds the others rest; when it fails the container is started again.
    Startup,
    /// Decides whether the pod gets traffic.
    Readiness,
    /// When it fails the container is started again.
    Liveness,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing yet.
    None,
    /// The status of the pod may differ.
    Look,
    /// The container has to be started again.
    Restart,
}

/// The probes of one start of a container.
#[derive(Clone, Debug)]
pub(super) struct Health {
    probings: Vec<Probing>,
}

#[derive(Clone, Debug)]
struct Probing {
    role: Role,
    probe: Probe,
    period: Duration,
    /// Since the container's start, or since the startup probe succeeded.
    next: Duration,
    verdict: Option<bool>,
    last: bool,
    in_a_row: i32,
}

impl Health {
    /// Nothing is known of a container that has just been started. Waits are divided by `pace`.
    pub(super) fn new(container: &Container, pace: u32) -> Self {
        let probes = [
            (Role::Startup, &container.startup_probe),
            (Role::Readiness, &container.readiness_probe),
            (Role::Liveness, &container.liveness_probe),
        ];
        let probings = probes.into_iter().filter_map(|(role, probe)| {
            let probe = probe.clone()?;
            let seconds = |n: Option<i32>, default: i32, least: i32| {
                let seconds = n.filter(|n| *n >= least).unwrap_or(default);
                Duration::from_secs(u64::try_from(seconds).unwrap_or_default()) / pace.max(1)
            };
            Some(Probing {
                role,
                period: seconds(probe.period_seconds, 10, 1),
                next: seconds(probe.initial_delay_seconds, 0, 0),
                probe,
                verdict: None,
                last: false,
                in_a_row: 0,
            })
        });
        Self {
            probings: probings.collect(),
        }
    }

    /// The probes that are due so long after the container's start.
    pub(super) fn due(&self, since_start: Duration) -> Vec<(Role, Probe)> {
        let started = self.started();
        let due = self.probings.iter().filter(|probing| {
            let awake = match probing.role {
                Role::Startup => !started,
                Role::Readiness | Role::Liveness => started,
            };
            awake && since_start >= probing.next
        });
        due.map(|probing| (probing.role, probing.probe.clone()))
            .collect()
    }

    /// Takes an answer.
    pub(super) fn observe(&mut self, role: Role, success: bool, since_start: Duration) -> Effect {
        let found = self.probings.iter_mut().find(|p| p.role == role);
        match found.and_then(|probing| probing.observe(success, since_start)) {
            None => Effect::None,
            Some(false) if role != Role::Readiness => Effect::Restart,
            Some(_) => Effect::Look,
        }
    }

    /// Whether the startup probe succeeded, or there is none.
    pub(super) fn started(&self) -> bool {
        self.verdict(Role::Startup).unwrap_or(true)
    }

    /// Whether the pod may get traffic.
    pub(super) fn ready(&self) -> bool {
        self.started() && self.verdict(Role::Readiness).unwrap_or(true)
    }

    /// `None` without such a probe; what is not known yet is not so.
    fn verdict(&self, role: Role) -> Option<bool> {
        let probing = self.probings.iter().find(|p| p.role == role)?;
        Some(probing.verdict.unwrap_or(false))
    }
}

impl Probing {
    /// The new verdict, if the answer changes it.
    fn observe(&mut self, success: bool, since_start: Duration) -> Option<bool> {
        self.next = since_start + self.period;
        self.in_a_row = if self.last == success {
            self.in_a_row + 1
        } else {
            1
        };
        self.last = success;
        let threshold = if success {
            self.probe.success_threshold.unwrap_or(1)
        } else {
            self.probe.failure_threshold.unwrap_or(3)
        };
        let changes = self.in_a_row >= threshold && self.verdict != Some(success);
        changes.then(|| {
            self.verdict = Some(success);
            success
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(failures: i32, successes: i32) -> Probe {
        Probe {
            period_seconds: Some(2),
            failure_threshold: Some(failures),
            success_threshold: Some(successes),
            ..Probe::default()
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn roles(health: &Health, at: Duration) -> Vec<Role> {
        health.due(at).into_iter().map(|(role, _)| role).collect()
    }

    fn all_three() -> Health {
        let container = Container {
            startup_probe: Some(probe(2, 1)),
            readiness_probe: Some(probe(2, 2)),
            liveness_probe: Some(probe(2, 1)),
            ..Container::default()
        };
        Health::new(&container, 1)
    }

    #[test]
    fn the_others_rest_until_the_container_has_started() {
        let mut health = all_three();
        assert_eq!(roles(&health, seconds(0)), [Role::Startup]);
        assert_eq!(
            health.observe(Role::Startup, false, seconds(0)),
            Effect::None
        );
        assert_eq!(roles(&health, seconds(1)), []);
        assert!(!health.started() && !health.ready());
        assert_eq!(
            health.observe(Role::Startup, true, seconds(2)),
            Effect::Look
        );
        assert_eq!(
            roles(&health, seconds(2)),
            [Role::Readiness, Role::Liveness]
        );
        assert!(health.started() && !health.ready());
    }

    #[test]
    fn a_container_that_does_not_start_in_time_is_started_again() {
        let mut health = all_three();
        health.observe(Role::Startup, false, seconds(0));
        let effect = health.observe(Role::Startup, false, seconds(2));
        assert_eq!(effect, Effect::Restart);
    }

    #[test]
    fn readiness_follows_its_thresholds_both_ways() {
        let mut health = all_three();
        health.observe(Role::Startup, true, seconds(0));
        let answers = [
            (true, Effect::None, false),
            (true, Effect::Look, true),
            (false, Effect::None, true),
            (true, Effect::None, true),
            (false, Effect::None, true),
            (false, Effect::Look, false),
        ];
        for (at, (success, effect, ready)) in answers.into_iter().enumerate() {
            let at = seconds(at as u64);
            let seen = health.observe(Role::Readiness, success, at);
            assert_eq!((seen, health.ready()), (effect, ready), "answer {at:?}");
        }
    }

    #[test]
    fn liveness_starts_again_only_after_failures_in_a_row() {
        let mut health = all_three();
        health.observe(Role::Startup, true, seconds(0));
        for (success, effect) in [
            (true, Effect::Look),
            (false, Effect::None),
            (true, Effect::None),
            (false, Effect::None),
            (false, Effect::Restart),
        ] {
            let seen = health.observe(Role::Liveness, success, seconds(1));
            assert_eq!(seen, effect);
        }
    }

    #[test]
    fn without_probes_a_running_container_is_ready() {
        let health = Health::new(&Container::default(), 1);
        assert!(health.started() && health.ready());
    }

    #[test]
    fn a_pace_divides_the_waits() {
        let container = Container {
            readiness_probe: Some(probe(1, 1)),
            ..Container::default()
        };
        let mut health = Health::new(&container, 20);
        health.observe(Role::Readiness, true, seconds(0));
        assert_eq!(roles(&health, Duration::from_millis(99)), []);
        let due = Duration::from_millis(100);
        assert_eq!(roles(&health, due), [Role::Readiness]);
    }
}
