//! What the API server holds, and the one place where a request is answered.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::call::{Call, Form, Verb};
use crate::failure::Failure;
use crate::journal::{About, Journal};
use crate::kinds::Kinds;
use crate::resource::{Nature, custom};
use crate::shelf::{Shelf, Stored};
use crate::watch::{Lists, Watching};

/// Changes of a kind that are remembered.
const HISTORY: usize = 1024;

/// As many different things that are not imitated are remembered.
const LACKS: usize = 64;

/// How long an Event is kept after it was written last.
const EVENT_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The revision at which a cluster begins; what is older is forgotten.
const BEGINNING: u64 = 1000;

/// Makes a token of its claims.
pub(crate) type Signer = Arc<dyn Fn(&Value) -> String + Send + Sync>;

/// How a request is answered.
pub(crate) enum Answer {
    /// With this code and body.
    Body(u16, Value),
    /// With a stream.
    Watch(Watching),
}

/// The state.
pub(crate) struct Cluster {
    pub(crate) kinds: Kinds,
    pub(crate) shelves: Vec<Shelf>,
    pub(crate) journal: Journal,
    pub(crate) unimitated: BTreeSet<String>,
    pub(crate) signer: Option<Signer>,
    pub(crate) lists: Lists,
    revision: u64,
    seed: u64,
    /// When Events are gone, if they are not written again.
    fading: VecDeque<(Timestamp, String, u64)>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Empty but for the namespaces that every cluster has.
    pub(crate) fn new(seed: u64, now: Timestamp) -> Self {
        let kinds = Kinds::built_in();
        let mut cluster = Self {
            shelves: (0..kinds.len())
                .map(|_| Shelf::new(BEGINNING, HISTORY))
                .collect(),
            kinds,
            journal: Journal::default(),
            unimitated: BTreeSet::new(),
            signer: None,
            lists: Lists::Streamed,
            revision: BEGINNING,
            seed,
            fading: VecDeque::new(),
        };
        for name in ["default", "kube-system"] {
            let namespace = json!({"metadata": {"name": name}});
            // Nothing is in its way.
            let _ = cluster.create_object(cluster.namespaces(), "", namespace, now);
        }
        cluster
    }

    /// Serves the kinds of a definition.
    pub(crate) fn install(&mut self, definition: &CustomResourceDefinition) {
        for resource in custom(definition) {
            let number = self.kinds.add(resource);
            if number == self.shelves.len() {
                self.shelves.push(Shelf::new(self.revision, HISTORY));
            }
        }
    }

    /// The number of the kind Namespace.
    pub(crate) fn namespaces(&self) -> usize {
        self.kinds.at("", "v1", "namespaces").unwrap_or_default()
    }

    /// How the cluster was when this was the newest.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Forgets how everything was before now.
    pub(crate) fn compact(&mut self) {
        for shelf in &mut self.shelves {
            shelf.forget(self.revision);
        }
    }

    /// A UID that was not there before: the next number, mixed so that no part of it tells the others.
    pub(crate) fn new_uid(&mut self) -> String {
        let high = mixed(&mut self.seed);
        let low = mixed(&mut self.seed);
        let version = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
        let variant = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let text = format!("{version:016x}{variant:016x}");
        let parts = [
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..],
        ];
        parts.join("-")
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, call: Call, now: Timestamp) -> Result<Answer, Failure> {
        self.fade(now);
        let form = call.form;
        let (code, object) = match call.verb {
            Verb::Get => (200, self.get(call)?),
            Verb::List => return Ok(Answer::Body(200, self.list(call)?)),
            Verb::Watch => return Ok(Answer::Watch(self.watch(call)?)),
            Verb::Create => (201, self.create(call, now)?),
            Verb::Update => self.update(call, now)?,
            Verb::MergePatch => (200, self.merge_patch(call, now)?),
            Verb::Delete => (200, self.delete(call, now)?),
        };
        Ok(Answer::Body(code, shown(form, object)))
    }

    /// Notes what is not imitated.
    pub(crate) fn lacks(&mut self, what: String) {
        if self.unimitated.len() < LACKS {
            self.unimitated.insert(what);
        }
    }

    /// Notes how a request was answered.
    pub(crate) fn note(&mut self, at: Timestamp, about: About, object: &str) {
        self.journal.note(at, about, object);
    }

    /// Stores a new object. A status that it is shown with is not stored before its next version.
    pub(crate) fn store_first(
        &mut self,
        (kind, key): (usize, &str),
        object: Value,
        now: Timestamp,
    ) -> Arc<Stored> {
        let unsettled = object.get("status").is_some() && self.kinds[kind].is_custom();
        self.keep((kind, key), object, unsettled, now)
    }

    /// Stores an object in its next version.
    pub(crate) fn store(
        &mut self,
        (kind, key): (usize, &str),
        object: Value,
        now: Timestamp,
    ) -> Arc<Stored> {
        self.keep((kind, key), object, false, now)
    }

    fn keep(
        &mut self,
        (kind, key): (usize, &str),
        mut object: Value,
        unsettled: bool,
        now: Timestamp,
    ) -> Arc<Stored> {
        self.revision += 1;
        let revision = self.revision;
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        let stored = Arc::new(Stored {
            object,
            revision,
            unsettled,
        });
        self.shelves[kind].set(key, revision, Some(Arc::clone(&stored)));
        if matches!(self.kinds[kind].nature, Nature::Event) {
            let end = now.saturating_add(EVENT_LIFE).unwrap_or(Timestamp::MAX);
            self.fading.push_back((end, key.to_owned(), revision));
        }
        stored
    }

    /// Takes an object away. What watches show of it has the version in which it went.
    pub(crate) fn take_away(&mut self, kind: usize, key: &str) {
        self.revision += 1;
        self.shelves[kind].set(key, self.revision, None);
    }

    /// Takes away Events that are old enough.
    fn fade(&mut self, now: Timestamp) {
        while let Some((end, ..)) = self.fading.front()
            && *end <= now
        {
            let Some((_, key, revision)) = self.fading.pop_front() else {
                return;
            };
            let Some(kind) = self.kinds.at("events.k8s.io", "v1", "events") else {
                return;
            };
            let stored = self.shelves[kind].objects.get(&key);
            if stored.is_some_and(|stored| stored.revision == revision) {
                self.take_away(kind, &key);
            }
        }
    }
}

/// As a request wants it.
pub(crate) fn shown(form: Form, mut object: Value) -> Value {
    match form {
        Form::Metadata if object["kind"] != "Status" => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"].take(),
        }),
        Form::Full | Form::Metadata => object,
    }
}

/// Where an object is.
pub(crate) fn key(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// SplitMix64.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
