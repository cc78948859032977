//! What a Lease says, and what to do about it: values in, values out.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use tokio::time::Instant;

use crate::domain::lease::LeaseTiming;
use crate::ids::ObjectKey;

/// The fields of a Lease that elections use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) holder: Option<String>,
    pub(super) duration: Duration,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
}

impl Record {
    pub(super) fn of(lease: &Lease) -> Self {
        let Some(spec) = &lease.spec else {
            return Self::default();
        };
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        Self {
            holder: spec
                .holder_identity
                .clone()
                .filter(|holder| !holder.is_empty()),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// As the first Lease of that name.
    pub(super) fn create(self, key: &ObjectKey) -> Lease {
        self.write_into(Lease {
            metadata: ObjectMeta {
                namespace: Some(key.namespace.to_string()),
                name: Some(key.name.to_string()),
                ..ObjectMeta::default()
            },
            spec: None,
        })
    }

    /// Into a Lease, whose version makes sure that nobody wrote in between.
    pub(super) fn write_into(self, mut lease: Lease) -> Lease {
        let spec = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            // Empty instead of absent, as client-go releases.
            holder_identity: Some(self.holder.unwrap_or_default()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: self.acquired.map(MicroTime),
            renew_time: self.renewed.map(MicroTime),
            lease_transitions: Some(self.transitions),
            ..spec
        });
        lease
    }

    /// Without a holder, so that anybody may take it at once; `None` when it is not `me` who holds it.
    pub(super) fn vacated(self, me: &str, now: Timestamp) -> Option<Self> {
        (self.holder.as_deref() == Some(me)).then(|| Self {
            holder: None,
            duration: Duration::from_secs(1),
            renewed: Some(now),
            ..self
        })
    }
}

/// A record, and since when it says this, on our own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    record: Record,
    since: Instant,
}

impl Seen {
    /// Somebody else's record counts from when it changed before our eyes.
    pub(super) fn observe(previous: Option<Self>, record: Record, now: Instant) -> Self {
        match previous {
            Some(previous) if previous.record == record => previous,
            Some(_) | None => Self { record, since: now },
        }
    }

    pub(super) fn renewed(&self) -> Option<Timestamp> {
        self.record.renewed
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Try to make the Lease say this.
    Write(Record),
    /// Somebody else holds it, at least until then unless it changes.
    Wait {
        /// On our own clock.
        until: Instant,
    },
}

/// Decides for `me`, who would hold it for so long, given what the Lease says: nothing when there is none.
pub(super) fn step(
    seen: Option<&Seen>,
    (me, timing): (&str, LeaseTiming),
    now: Instant,
    wall: Timestamp,
) -> Action {
    let Some(Seen { record, since }) = seen else {
        return Action::Write(Record {
            holder: Some(me.to_owned()),
            duration: timing.duration(),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: 0,
        });
    };
    let until = *since + record.duration;
    match record.holder.as_deref() {
        Some(holder) if holder == me => Action::Write(Record {
            duration: timing.duration(),
            renewed: Some(wall),
            ..record.clone()
        }),
        Some(_) if now < until => Action::Wait { until },
        Some(_) | None => Action::Write(Record {
            holder: Some(me.to_owned()),
            duration: timing.duration(),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: record.transitions.saturating_add(1),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "me";

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(holder: &str, renewed: i64, transitions: i32) -> Record {
        Record {
            holder: Some(holder.to_owned()).filter(|holder| !holder.is_empty()),
            duration: LeaseTiming::default().duration(),
            acquired: Some(wall(0)),
            renewed: Some(wall(renewed)),
            transitions,
        }
    }

    fn taken(transitions: i32) -> Action {
        Action::Write(Record {
            acquired: Some(wall(1000)),
            ..record(ME, 1000, transitions)
        })
    }

    #[test]
    fn what_to_do_depends_on_the_holder_and_on_how_long_it_has_been_silent() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let wait = Action::Wait { until: after(15) };
        let table = [
            ("there is none", None, 0, taken(0)),
            ("released", Some(record("", 1, 4)), 0, taken(5)),
            (
                "mine",
                Some(record(ME, 1, 4)),
                99,
                Action::Write(record(ME, 1000, 4)),
            ),
            (
                "another's, just seen",
                Some(record("other", 1, 4)),
                0,
                wait.clone(),
            ),
            (
                "another's, by whose clock it ended long ago",
                Some(record("other", -999, 4)),
                14,
                wait,
            ),
            (
                "another's, silent for its duration",
                Some(record("other", 9999, 4)),
                15,
                taken(5),
            ),
            ("empty", Some(Record::default()), 0, taken(1)),
        ];
        for (name, record, seconds, expected) in table {
            let seen = record.map(|record| Seen::observe(None, record, start));
            let action = step(
                seen.as_ref(),
                (ME, LeaseTiming::default()),
                after(seconds),
                wall(1000),
            );
            assert_eq!(action, expected, "{name}");
        }
    }

    #[test]
    fn only_a_change_of_the_record_extends_another_holders_time() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let first = Seen::observe(None, record("other", 1, 0), start);
        let same = Seen::observe(Some(first.clone()), record("other", 1, 0), later);
        assert_eq!(same, first);
        let renewed = Seen::observe(Some(first), record("other", 2, 0), later);
        assert_eq!(renewed.since, later);
    }

    #[test]
    fn only_the_holder_vacates() {
        let vacated = record(ME, 1, 4).vacated(ME, wall(9)).unwrap();
        assert_eq!((vacated.holder, vacated.renewed), (None, Some(wall(9))));
        assert_eq!(record("other", 1, 4).vacated(ME, wall(9)), None);
    }

    #[test]
    fn a_record_survives_the_lease_and_leaves_its_other_fields_alone() {
        let lease = Lease {
            metadata: ObjectMeta {
                resource_version: Some("7".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                strategy: Some("OldestEmulationVersion".to_owned()),
                ..LeaseSpec::default()
            }),
        };
        let written = record(ME, 1, 4).write_into(lease);
        assert_eq!(Record::of(&written), record(ME, 1, 4));
        assert_eq!(written.metadata.resource_version.as_deref(), Some("7"));
        assert!(written.spec.unwrap().strategy.is_some());
    }
}
