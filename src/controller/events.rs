//! Publishing Events. Losing one is not worth failing for: the status says the same.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::domain::announce::{Announcement, Tone};
use crate::domain::records::Record;
use crate::ids::Kind;

/// How long an Event may take to be stored.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest note that the API server takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Publishes Events of this operator.
#[derive(Clone)]
pub(super) struct Publisher {
    recorder: Recorder,
}

impl Publisher {
    pub(super) fn new(client: Client, instance: Option<String>) -> Self {
        let controller = "hybrid-calendar-operator".to_owned();
        Self {
            recorder: Recorder::new(
                client,
                Reporter {
                    controller,
                    instance,
                },
            ),
        }
    }

    /// Publishes what there is to announce about an object, in the background.
    pub(super) fn publish<S, T>(
        &self,
        kind: Kind,
        record: &Record<S, T>,
        announcements: Vec<Announcement>,
    ) {
        if announcements.is_empty() {
            return;
        }
        let reference = ObjectReference {
            api_version: Some("hybridcalendar.dev/v1alpha1".to_owned()),
            kind: Some(kind.as_str().to_owned()),
            namespace: Some(record.key.namespace.to_string()),
            name: Some(record.key.name.to_string()),
            uid: Some(record.uid.to_string()),
            ..ObjectReference::default()
        };
        let recorder = self.recorder.clone();
        let object = record.key.clone();
        tokio::spawn(async move {
            for announcement in announcements {
                let event = event(announcement);
                let outcome =
                    tokio::time::timeout(TIMEOUT, recorder.publish(&event, &reference)).await;
                let problem = match outcome {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no answer in time".to_owned(),
                };
                tracing::warn!(kind = kind.as_str(), %object, problem, "an Event could not be published");
            }
        });
    }
}

fn event(announcement: Announcement) -> Event {
    let Announcement {
        tone,
        reason,
        about,
        mut note,
    } = announcement;
    if note.len() > NOTE_LIMIT {
        let end = (0..=NOTE_LIMIT)
            .rev()
            .find(|at| note.is_char_boundary(*at))
            .unwrap_or(0);
        note.truncate(end);
    }
    Event {
        type_: match tone {
            Tone::Normal => EventType::Normal,
            Tone::Warning => EventType::Warning,
        },
        reason,
        note: Some(note),
        action: about.as_str().to_owned(),
        secondary: None,
    }
}
