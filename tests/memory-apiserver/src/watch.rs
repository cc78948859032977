//! Watches: what happens from a version on, line by line, until the client's time is up.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::call::{Call, Form, Query};
use crate::cluster::{Cluster, shown};
use crate::failure::{Failure, body, cause, expired, internal, invalid_options, not_imitated};
use crate::selector::Filter;
use crate::server::Shared;
use crate::shelf::{Change, Stored};

/// How long a watch lasts for which no time is asked; the real server takes half an hour to an hour.
const USUAL_TIME: Duration = Duration::from_mins(30);

/// How often a watch is told how far it is, without anything that happened.
const BOOKMARKS: Duration = Duration::from_mins(1);

/// It is told a last time so long before its end.
const BEFORE_END: Duration = Duration::from_secs(2);

/// Marks the bookmark behind a list that was streamed.
const END_OF_LIST: &str = "k8s.io/initial-events-end";

const UNASKED: &str =
    "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
const UNMATCHED: &str =
    "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
const SWITCHED_OFF: &str = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";

/// What the real server says when etcd cannot tell it how far its cache is.
const NO_PROGRESS: &str = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled";

/// How an API server takes it that a watch is to begin with a list that has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// It does so: the feature gate `WatchList` is on.
    Streamed,
    /// It refuses: the gate is off.
    InPages,
    /// The gate is on, but its etcd is too old to tell it how far its cache is. It says so within the stream.
    Untold,
}

/// What a watch is about.
#[derive(Debug)]
pub(crate) struct Watching {
    kind: usize,
    filter: Filter,
    form: Form,
    bookmarks: bool,
    time: Duration,
    /// It has seen everything up to this.
    seen: u64,
    /// What it is told first, piece by piece.
    first: VecDeque<Vec<u8>>,
    /// Its version is too old: there is nothing more to say.
    refused: bool,
    news: watch::Receiver<u64>,
}

impl Cluster {
    pub(crate) fn watch(&self, mut call: Call) -> Result<Watching, Failure> {
        let filter = self.filter(&mut call)?;
        let bookmarks = call.query.flag("allowWatchBookmarks");
        let time = call
            .query
            .number("timeoutSeconds")?
            .filter(|time| *time > 0);
        let revision = call.query.number("resourceVersion")?;
        let streams_list = self.streams_list(&mut call.query, revision)?;
        call.query.finish()?;
        self.not_in_future(revision)?;
        if !call.name.is_empty() || call.subresource.is_some() {
            return Err(not_imitated("watching one object by its path"));
        }
        let objects = &self.shelves[call.kind];
        let mut watching = Watching {
            kind: call.kind,
            filter,
            form: call.form,
            bookmarks,
            time: time.map_or(USUAL_TIME, Duration::from_secs),
            seen: revision.filter(|from| *from > 0).unwrap_or(self.revision()),
            first: VecDeque::new(),
            refused: false,
            news: objects.news(),
        };
        match revision {
            Some(revision @ 1..) if objects.since(revision).is_none() => {
                let message = format!(
                    "too old resource version: {revision} ({})",
                    objects.forgotten()
                );
                watching.refused = true;
                watching.first = [line("ERROR", &body(&expired(&message)))].into();
            }
            Some(1..) => {}
            Some(0) | None if streams_list && self.lists == Lists::Untold => {
                watching.refused = true;
                watching.first = [line("ERROR", &body(&internal(NO_PROGRESS)))].into();
            }
            Some(0) | None => watching.first = self.everything(&watching),
        }
        if streams_list && watching.bookmarks && !watching.refused {
            let end = json!({"annotations": {END_OF_LIST: "true"}});
            let end = self.bookmark(&mut watching, end);
            watching.first.push_back(end);
        }
        Ok(watching)
    }

    /// Whether a watch begins with a list that has an end.
    fn streams_list(&self, query: &mut Query, revision: Option<u64>) -> Result<bool, Failure> {
        let asked = query.take("sendInitialEvents");
        let matched = query.take("resourceVersionMatch");
        let mut wrong = Vec::new();
        if asked.is_some() && matched.is_none() {
            wrong.push(cause("resourceVersionMatch", UNMATCHED));
        }
        if asked.is_some() && self.lists == Lists::InPages {
            wrong.push(cause("sendInitialEvents", SWITCHED_OFF));
        }
        if asked.is_none() && matched.is_some() {
            wrong.push(cause("resourceVersionMatch", UNASKED));
        }
        match (asked.as_deref(), matched.as_deref(), revision) {
            _ if !wrong.is_empty() => Err(invalid_options(wrong)),
            // Who asks for no version gets the end of the list, too.
            (None, _, None | Some(0)) => Ok(self.lists == Lists::Streamed),
            (None, _, _) => Ok(false),
            (Some("true"), Some("NotOlderThan"), None | Some(0)) => Ok(true),
            _ => Err(not_imitated("such a streamed list")),
        }
    }

    /// What is there, as if it was added now.
    fn everything(&self, watching: &Watching) -> VecDeque<Vec<u8>> {
        let resource = &self.kinds[watching.kind];
        let objects = self.shelves[watching.kind].objects.iter();
        objects
            .filter(|(key, stored)| watching.filter.chooses(resource, key, &stored.object))
            .map(|(_, stored)| line("ADDED", &shown(watching.form, stored.object.clone())))
            .collect()
    }

    /// What happened since a watch was told last; `None` when that is not known any more.
    fn told(&self, watching: &mut Watching) -> Option<Vec<u8>> {
        let mut lines = Vec::new();
        let mut seen = watching.seen;
        for change in self.shelves[watching.kind].since(watching.seen)? {
            seen = change.revision;
            lines.extend(self.line(watching, change));
        }
        watching.seen = seen;
        Some(lines)
    }

    /// A change as a watch sees it that may begin or cease to see the object.
    fn line(&self, watching: &Watching, change: &Change) -> Vec<u8> {
        let resource = &self.kinds[watching.kind];
        let seen = |stored: &&std::sync::Arc<Stored>| {
            watching
                .filter
                .chooses(resource, &change.key, &stored.object)
        };
        let before = change.before.as_ref().filter(seen);
        let after = change.after.as_ref().filter(seen);
        let (kind, mut object) = match (before, after) {
            (None, None) => return Vec::new(),
            (None, Some(after)) => ("ADDED", after.object.clone()),
            (Some(_), Some(after)) => ("MODIFIED", after.object.clone()),
            (Some(before), None) => ("DELETED", before.object.clone()),
        };
        object["metadata"]["resourceVersion"] = json!(change.revision.to_string());
        line(kind, &shown(watching.form, object))
    }

    fn bookmark(&self, watching: &mut Watching, mut metadata: Value) -> Vec<u8> {
        watching.seen = self.revision();
        metadata["resourceVersion"] = json!(self.revision().to_string());
        let resource = &self.kinds[watching.kind];
        let object = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": metadata,
        });
        line("BOOKMARK", &shown(watching.form, object))
    }
}

/// The type comes first, as with the real server: a reader can tell by it what the object is.
fn line(kind: &str, object: &Value) -> Vec<u8> {
    let mut line = format!(r#"{{"type":"{kind}","object":"#).into_bytes();
    // What is a `Value` can be written.
    let _ = serde_json::to_writer(&mut line, object);
    line.extend(b"}\n");
    line
}

/// A watch that somebody listens to.
pub(crate) struct Stream {
    shared: Shared,
    watching: Watching,
    /// Changes when all watches are cut.
    cuts: watch::Receiver<u64>,
    end: Instant,
    bookmark: Instant,
}

impl Stream {
    pub(crate) fn new(shared: Shared, watching: Watching) -> Self {
        let now = Instant::now();
        let end = now + watching.time;
        Self {
            cuts: shared.cuts(),
            shared,
            end,
            bookmark: next_bookmark(now, end),
            watching,
        }
    }

    /// Waits for the next lines; `None` at the end.
    pub(crate) async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.cuts.has_changed().is_ok_and(|cut| cut) {
            return None;
        }
        if let Some(first) = self.watching.first.pop_front() {
            return Some((first.into(), self));
        }
        if self.watching.refused {
            return None;
        }
        loop {
            self.watching.news.borrow_and_update();
            // Who is too slow is cut off, and learns at the next try that it has missed something.
            let lines = self.shared.lock().told(&mut self.watching)?;
            if !lines.is_empty() {
                return Some((lines.into(), self));
            }
            tokio::select! {
                biased;
                _ = self.cuts.changed() => return None,
                () = sleep_until(self.end) => return None,
                _ = self.watching.news.changed() => {}
                () = sleep_until(self.bookmark), if self.watching.bookmarks => {
                    self.bookmark = next_bookmark(Instant::now(), self.end);
                    let line = self.shared.lock().bookmark(&mut self.watching, json!({}));
                    return Some((line.into(), self));
                }
            }
        }
    }
}

/// Once a minute, and right before the end.
fn next_bookmark(now: Instant, end: Instant) -> Instant {
    let last = end - BEFORE_END.min(end - now);
    if last > now {
        last.min(now + BOOKMARKS)
    } else {
        end + BOOKMARKS
    }
}
