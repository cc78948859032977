//! What a Pod's status says of its one container. Pure: time is an argument.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitStatus;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

/// Where everything of ours runs.
const HOST_IP: &str = "10.0.0.1";

/// What the container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not running, and why.
    Waiting {
        reason: &'static str,
        message: String,
    },
    /// Since then.
    Running { since: Timestamp },
    /// It ended by itself or was ended.
    Terminated {
        exit: Exit,
        since: Timestamp,
        at: Timestamp,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit(pub(super) i32);

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let by_signal = || status.signal().map_or(255, |signal| 128 + signal);
        Self(status.code().unwrap_or_else(by_signal))
    }
}

/// Everything that the status depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) phase: &'static str,
    /// Of the whole pod: reason and message.
    pub(super) problem: Option<(&'static str, String)>,
    pub(super) state: State,
    /// How the last start ended.
    pub(super) last: Option<State>,
    pub(super) restarts: i32,
    pub(super) started: bool,
    pub(super) ready: bool,
}

impl Seen {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self {
            phase: "Pending",
            problem: None,
            state: State::Waiting {
                reason: "ContainerCreating",
                message: String::new(),
            },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
        }
    }
}

/// Makes statuses, and remembers since when each condition is as it is.
#[derive(Debug)]
pub(super) struct Writer {
    since: BTreeMap<&'static str, (bool, Timestamp)>,
    start: Timestamp,
    written: Option<Seen>,
}

impl Writer {
    pub(super) fn new(start: Timestamp) -> Self {
        Self {
            since: BTreeMap::new(),
            start,
            written: None,
        }
    }

    /// The status to write, if it differs from the last that was taken.
    pub(super) fn status(
        &mut self,
        seen: &Seen,
        (container, ip): (&Container, Ipv4Addr),
        now: Timestamp,
    ) -> Option<Value> {
        if self.written.as_ref() == Some(seen) {
            return None;
        }
        let conditions = [
            ("PodScheduled", true),
            ("PodReadyToStartContainers", true),
            ("Initialized", true),
            ("ContainersReady", seen.ready),
            ("Ready", seen.ready),
        ]
        .map(|(type_, holds)| self.condition(type_, holds, now));
        let mut last = json!({});
        if let Some(state) = &seen.last {
            last = as_json(state);
        }
        Some(json!({
            "phase": seen.phase,
            "reason": seen.problem.as_ref().map(|(reason, _)| *reason),
            "message": seen.problem.as_ref().map(|(_, message)| message),
            "startTime": time(self.start),
            "hostIP": HOST_IP, "hostIPs": [{"ip": HOST_IP}],
            "podIP": ip.to_string(), "podIPs": [{"ip": ip.to_string()}],
            "conditions": conditions,
            "containerStatuses": [{
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "state": as_json(&seen.state),
                "lastState": last,
                "restartCount": seen.restarts,
                "started": seen.started,
                "ready": seen.ready,
            }],
        }))
    }

    /// The API server took this one.
    pub(super) fn taken(&mut self, seen: Seen) {
        self.written = Some(seen);
    }

    fn condition(&mut self, type_: &'static str, holds: bool, now: Timestamp) -> Value {
        let entry = self.since.entry(type_).or_insert((holds, now));
        if entry.0 != holds {
            *entry = (holds, now);
        }
        let status = if holds { "True" } else { "False" };
        json!({"type": type_, "status": status, "lastTransitionTime": time(entry.1)})
    }
}

fn as_json(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        State::Running { since } => json!({"running": {"startedAt": time(*since)}}),
        State::Terminated { exit, since, at } => {
            let reason = if exit.0 == 0 { "Completed" } else { "Error" };
            json!({"terminated": {
                "exitCode": exit.0, "reason": reason,
                "startedAt": time(*since), "finishedAt": time(*at),
            }})
        }
    }
}

/// Whole seconds, as the API wants them.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writer: &mut Writer, seen: &Seen, at: i64) -> Option<Value> {
        let container = Container::default();
        let now = Timestamp::from_second(at).unwrap();
        let ip = Ipv4Addr::new(10, 1, 2, 3);
        let status = writer.status(seen, (&container, ip), now);
        if status.is_some() {
            writer.taken(seen.clone());
        }
        status
    }

    fn since(status: &Value, type_: &str) -> String {
        let conditions = status["conditions"].as_array().unwrap();
        let found = conditions.iter().find(|c| c["type"] == type_).unwrap();
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        format!("{} {}", text("status"), text("lastTransitionTime"))
    }

    #[test]
    fn a_status_is_written_when_it_differs_and_conditions_say_since_when() {
        let mut writer = Writer::new(Timestamp::from_second(0).unwrap());
        let mut seen = Seen::new();
        let first = written(&mut writer, &seen, 1).unwrap();
        assert_eq!(since(&first, "Ready"), "False 1970-01-01T00:00:01Z");
        assert_eq!(written(&mut writer, &seen, 2), None);
        seen.restarts = 1;
        let restarted = written(&mut writer, &seen, 3).unwrap();
        assert_eq!(since(&restarted, "Ready"), "False 1970-01-01T00:00:01Z");
        seen.ready = true;
        let ready = written(&mut writer, &seen, 4).unwrap();
        assert_eq!(since(&ready, "Ready"), "True 1970-01-01T00:00:04Z");
        assert_eq!(since(&ready, "Initialized"), "True 1970-01-01T00:00:01Z");
    }
}
