//! From files to objects: documents, their kinds, and what an API server would say against them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::objects::{Declared, Objects, Place, Problem, Problems};
use super::schema;
use super::yaml::parse;
use crate::api::v1alpha1::mailbox::WorkspaceMailboxStatus;
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::api::v1alpha1::{GROUP, REQUESTED_AT_ANNOTATION, crd};
use crate::config::check::Source;
use crate::config::validate::{is_label, is_subdomain};
use crate::domain::permission::NAME_LABEL;
use crate::domain::records::Record;
use crate::ids::{Kind, ObjectKey, Uid};
use crate::plain::harmless;

/// The version of our API that is known here.
const VERSION: &str = "hybridcalendar.dev/v1alpha1";

/// More of what was left aside than helps anybody.
const MOST_NAMED: usize = 3;

/// More documents than anybody checks at once.
const MOST_DOCUMENTS: usize = 20_000;

/// Fields of `metadata` that the API server knows.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads everything that the sources declare. Objects without a namespace are in `namespace`; those that do not say
/// when they were created were created at `now`, in the order of the files.
///
/// # Errors
/// Everything that is wrong, together.
pub fn read(sources: &[Source], namespace: &Arc<str>, now: Timestamp) -> Result<Objects, Problems> {
    let mut reader = Reader {
        namespace,
        now,
        objects: Objects::default(),
        problems: Vec::new(),
        seen: BTreeMap::new(),
    };
    for source in sources {
        reader.source(source);
    }
    reader.expect_something(sources);
    if reader.problems.is_empty() {
        Ok(reader.objects)
    } else {
        Err(Problems(reader.problems))
    }
}

/// What the API server judges our kinds by: made once, since that takes longer than to judge many of them.
static SCHEMAS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let of = |crd: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let version = crd.spec.versions.first()?;
        let schema = version.schema.as_ref()?.open_api_v3_schema.clone()?;
        Some((crd.spec.names.kind.clone(), schema))
    };
    crd::all().iter().filter_map(of).collect()
});

struct Reader<'a> {
    namespace: &'a Arc<str>,
    now: Timestamp,
    objects: Objects,
    problems: Vec<Problem>,
    seen: BTreeMap<(String, ObjectKey), Place>,
}

impl Reader<'_> {
    fn problem(&mut self, place: &Place, says: impl Into<String>) {
        self.problems.push(Problem {
            place: place.clone(),
            says: says.into(),
        });
    }

    fn source(&mut self, source: &Source) {
        let mut place = Place {
            file: Arc::clone(&source.name),
            line: 1,
            document: 0,
            object: String::new(),
        };
        for (line, text) in documents(&source.text) {
            place.document += 1;
            place.line = line;
            if place.document > MOST_DOCUMENTS {
                let says = format!("holds more than {MOST_DOCUMENTS} documents: split it");
                return self.problem(&place, says);
            }
            match parse(text) {
                Ok(Value::Null) => place.document -= 1,
                Ok(value) => self.document(&place, value),
                Err(_) => {
                    // Once more with the lines before it, so that the numbers are those of the file.
                    let padded = format!("{}{text}", "\n".repeat(line - 1));
                    let says = parse(&padded).err().unwrap_or_default();
                    self.problem(&place, says);
                }
            }
        }
    }

    fn expect_something(&mut self, sources: &[Source]) {
        let found = &self.objects;
        if !found.tenants.is_empty() || !found.mailboxes.is_empty() || !self.problems.is_empty() {
            return;
        }
        if let Some(source) = sources.first() {
            let place = Place {
                file: Arc::clone(&source.name),
                line: 1,
                document: 1,
                object: String::new(),
            };
            let mut says = vec![
                "there is no CalendarTenant and no WorkspaceMailbox in the files: name those that hold them with -f".to_owned(),
            ];
            says.extend(found.left_aside.iter().take(MOST_NAMED).cloned());
            self.problem(&place, says.join("; "));
        }
    }

    fn document(&mut self, place: &Place, value: Value) {
        let Value::Object(mut fields) = value else {
            return self.problem(place, "is no object with apiVersion and kind");
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return self.problem(
                place,
                "apiVersion and kind are required: is this a Kubernetes manifest?",
            );
        };
        if (version.as_str(), kind.as_str()) == ("v1", "List") {
            if let Some(Value::Array(items)) = fields.remove("items") {
                for item in items {
                    self.document(place, item);
                }
            }
            return;
        }
        let group = version.split('/').next().unwrap_or_default();
        let place = &Place {
            object: named(&kind, &fields),
            ..place.clone()
        };
        match (version.as_str(), kind.as_str()) {
            (VERSION, "CalendarTenant" | "WorkspaceMailbox") => self.ours(place, &kind, fields),
            (VERSION, _) => self.problem(
                place,
                format!("kind {kind:?} is not known: use CalendarTenant or WorkspaceMailbox"),
            ),
            (_, _) if group == GROUP => {
                self.problem(
                    place,
                    format!("apiVersion {version:?} is not known: use {VERSION}"),
                );
            }
            ("v1", "Secret") => self.secret(place, &fields),
            ("v1", "ServiceAccount") => self.account(place, &fields),
            ("v1", "Namespace") => self.labels(place, &fields),
            (_, _) => {
                let left = format!("{place} is left aside: {kind} is not checked");
                self.objects.left_aside.push(harmless(&left));
            }
        }
    }

    /// The metadata of an object whose name is its own.
    fn metadata(&mut self, place: &Place, fields: &Map<String, Value>) -> Option<ObjectMeta> {
        let mut wrong = Vec::new();
        match fields.get("metadata").and_then(Value::as_object) {
            None => wrong.push("metadata.name: Required value".to_owned()),
            Some(metadata) => judge_metadata(metadata, &mut wrong),
        }
        let metadata = fields.get("metadata").cloned().unwrap_or_default();
        let read = serde_json::from_value::<ObjectMeta>(metadata);
        if read.is_err() && wrong.is_empty() {
            wrong.push(
                "metadata cannot be read: labels and annotations must be texts in quotes"
                    .to_owned(),
            );
        }
        let is_sound = wrong.is_empty();
        for says in wrong {
            self.problem(place, says);
        }
        read.ok().filter(|_| is_sound)
    }

    /// The name of an object, if nothing else in the files has it.
    fn key(&mut self, place: &Place, kind: &str, metadata: &ObjectMeta) -> Option<ObjectKey> {
        let namespace = metadata.namespace.as_deref().unwrap_or(self.namespace);
        let key = ObjectKey::new(namespace, metadata.name.as_deref()?);
        match self
            .seen
            .insert((kind.to_owned(), key.clone()), place.clone())
        {
            None => Some(key),
            Some(before) => {
                let says = format!("is declared before, in {before}: take one of the two out");
                self.problem(place, says);
                None
            }
        }
    }

    fn ours(&mut self, place: &Place, kind: &str, mut fields: Map<String, Value>) {
        let metadata = self.metadata(place, &fields);
        for apart in ["apiVersion", "kind", "metadata", "status"] {
            fields.remove(apart);
        }
        let mut value = Value::Object(fields);
        if let Some(schema) = SCHEMAS.get(kind) {
            schema::fill_in(schema, &mut value);
            value.as_object_mut().map(|fields| fields.remove("status"));
            for says in schema::problems(schema, &value, "") {
                self.problem(place, says);
            }
        }
        let Some(metadata) = metadata else { return };
        let Some(key) = self.key(place, kind, &metadata) else {
            return;
        };
        let spec = value["spec"].take();
        if kind == Kind::CalendarTenant.as_str() {
            let status = CalendarTenantStatus {
                observed_generation: Some(-1),
                ..CalendarTenantStatus::default()
            };
            let record = self.record(place, (key, &metadata), spec, status);
            self.objects.tenants.extend(record);
        } else {
            let status = WorkspaceMailboxStatus {
                observed_generation: Some(-1),
                ..WorkspaceMailboxStatus::default()
            };
            let record = self.record(place, (key, &metadata), spec, status);
            self.objects.mailboxes.extend(record);
        }
    }

    /// As the store has objects: new, unless the file tells more, as what `kubectl get -o yaml` prints.
    fn record<Spec: DeserializeOwned, Status>(
        &mut self,
        place: &Place,
        (key, metadata): (ObjectKey, &ObjectMeta),
        spec: Value,
        status: Status,
    ) -> Option<Declared<Record<Spec, Status>>> {
        let position = i64::try_from(self.seen.len()).unwrap_or(i64::MAX);
        let in_order = self
            .now
            .saturating_add(SignedDuration::from_nanos(position));
        let created = metadata.creation_timestamp.as_ref();
        let created = created.and_then(|at| Timestamp::from_second(at.0.as_second()).ok());
        let annotations = metadata.annotations.as_ref();
        let uid = metadata.uid.as_deref().and_then(Uid::parse);
        let Ok(spec) = serde_json::from_value(spec) else {
            if !self.problems.iter().any(|problem| problem.place == *place) {
                self.problem(place, "spec cannot be read");
            }
            return None;
        };
        Some(Declared {
            place: place.clone(),
            record: Record {
                key,
                uid: uid.unwrap_or_else(|| Uid::from_bytes(*Uuid::new_v4().as_bytes())),
                generation: metadata.generation.unwrap_or(1),
                resource_version: "1".into(),
                created_at: created.unwrap_or_else(|| in_order.unwrap_or(self.now)),
                requested_at: annotations
                    .and_then(|all| all.get(REQUESTED_AT_ANNOTATION))
                    .map(|value| value.as_str().into()),
                spec,
                status,
            },
        })
    }

    fn secret(&mut self, place: &Place, fields: &Map<String, Value>) {
        let Some(metadata) = self.metadata(place, fields) else {
            return;
        };
        let Some(key) = self.key(place, "Secret", &metadata) else {
            return;
        };
        let mut data = BTreeMap::new();
        for (part, decode) in [
            ("data", decoded as fn(&str) -> Option<Vec<u8>>),
            ("stringData", |text| Some(text.as_bytes().to_vec())),
        ] {
            for (name, value) in fields
                .get(part)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                // Values are never told.
                match value.as_str().map(decode) {
                    Some(Some(bytes)) => {
                        data.insert(name.clone(), ByteString(bytes));
                    }
                    Some(None) => self.problem(
                        place,
                        format!(
                            "data.{name} is not base64: write the value itself under stringData"
                        ),
                    ),
                    None => self.problem(
                        place,
                        format!("{part}.{name} must be of type string: put it in quotes"),
                    ),
                }
            }
        }
        let secret = SecretObject {
            metadata,
            data: Some(data),
            ..SecretObject::default()
        };
        self.objects.secrets.insert(key, secret);
    }

    fn account(&mut self, place: &Place, fields: &Map<String, Value>) {
        if let Some(metadata) = self.metadata(place, fields)
            && let Some(key) = self.key(place, "ServiceAccount", &metadata)
        {
            self.objects.accounts.insert(key, metadata);
        }
    }

    fn labels(&mut self, place: &Place, fields: &Map<String, Value>) {
        if let Some(metadata) = self.metadata(place, fields)
            && let Some(name) = metadata.name
        {
            let mut labels = metadata.labels.unwrap_or_default();
            // As the API server does.
            labels.insert(NAME_LABEL.to_owned(), name.clone());
            self.objects.namespaces.insert(name.into(), labels);
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(dense).ok()
}

/// Kind and name for a person, as far as they are there.
fn named(kind: &str, fields: &Map<String, Value>) -> String {
    let metadata = fields.get("metadata");
    let text = |name: &str| metadata.and_then(|m| m.get(name)).and_then(Value::as_str);
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind.to_owned(),
    }
}

fn judge_metadata(metadata: &Map<String, Value>, wrong: &mut Vec<String>) {
    let known = BTreeSet::from(METADATA);
    for name in metadata
        .keys()
        .filter(|name| !known.contains(name.as_str()))
    {
        wrong.push(format!("unknown field \"metadata.{name}\""));
    }
    match metadata.get("name").map(Value::as_str) {
        Some(Some(name)) if is_subdomain(name) => {}
        Some(_) => wrong.push(
            "metadata.name must be a name of lower case letters, digits, '-' and '.', at most 253"
                .to_owned(),
        ),
        None => wrong.push("metadata.name: Required value".to_owned()),
    }
    let namespace = metadata.get("namespace").filter(|value| !value.is_null());
    if namespace.is_some_and(|value| !value.as_str().is_some_and(is_label)) {
        wrong.push(
            "metadata.namespace must be a name of lower case letters, digits and '-', at most 63"
                .to_owned(),
        );
    }
}

/// The documents of a YAML stream, each with the line in which its content begins.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if is_marker(line) {
            found.push((first_line, &text[start..at]));
            // What follows the marker in its line belongs to the document.
            let marker = at + line.len().min(3);
            (start, first_line) = (marker, number);
        }
        at += line.len();
    }
    found.push((first_line, &text[start..]));
    found
        .into_iter()
        .filter_map(|(line, document)| {
            let (lines, bytes) = content_begins(document)?;
            Some((line + lines, &document[bytes..]))
        })
        .collect()
}

fn is_marker(line: &str) -> bool {
    let line = line.trim_end();
    line == "---" || line == "..." || line.starts_with("--- ") || line.starts_with("---\t")
}

/// How many lines and bytes of comments and space come first; none when there is nothing else.
fn content_begins(document: &str) -> Option<(usize, usize)> {
    let mut bytes = 0;
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            return Some((number, bytes));
        }
        bytes += line.len();
    }
    None
}

#[cfg(test)]
mod tests;
