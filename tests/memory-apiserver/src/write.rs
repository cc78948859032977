//! Writing: create, update, patch and delete, with what the server adds and protects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::call::{Call, Subresource};
use crate::cluster::{Cluster, key};
use crate::failure::{
    Failure, MODIFIED, already_exists, bad_request, cause, conflict, internal, invalid, not_found,
    not_imitated, terminating,
};
use crate::resource::Nature;
use crate::rules::flaw;
use crate::shelf::Stored;

/// What an update may not change.
const PROTECTED: &[&str] = &[
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// An object before a write, and what the write makes of it.
struct Change {
    kind: usize,
    key: String,
    name: String,
    old: Arc<Stored>,
    new: Value,
    /// Of the status alone.
    of_status: bool,
}

impl Change {
    fn of(call: Call, (key, old): (String, Arc<Stored>), new: Value) -> Self {
        Self {
            kind: call.kind,
            key,
            name: call.name,
            old,
            new,
            of_status: call.subresource.is_some(),
        }
    }
}

impl Cluster {
    pub(crate) fn create(&mut self, mut call: Call, now: Timestamp) -> Result<Value, Failure> {
        self.admits(&mut call)?;
        call.query.finish()?;
        match call.subresource {
            Some(Subresource::Token) => return self.token(call, now),
            Some(Subresource::Status) => return Err(not_imitated("creating a status")),
            None => {}
        }
        if !call.name.is_empty() || self.kinds[call.kind].namespaced != call.namespace.is_some() {
            return Err(not_imitated("a POST here"));
        }
        let namespace = call.namespace.unwrap_or_default();
        self.create_object(call.kind, &namespace, call.body, now)
    }

    /// Creates an object that was sent; `namespace` is empty when its kind has none.
    pub(crate) fn create_object(
        &mut self,
        kind: usize,
        namespace: &str,
        object: Value,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let mut object = self.decoded(kind, object)?;
        let resource = &self.kinds[kind];
        let metadata = &mut object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(not_imitated("an object without a name"));
        }
        let given = metadata["namespace"].as_str().unwrap_or(namespace);
        if given != namespace {
            return Err(bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let namespace = resource.namespaced.then(|| namespace.to_owned());
        if let Some(namespace) = &namespace {
            self.open(kind, &name, namespace)?;
            metadata["namespace"] = json!(namespace);
        }
        let key = key(namespace.as_deref(), &name);
        if metadata.get("resourceVersion").is_some() {
            return Err(internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if self.shelves[kind].objects.contains_key(&key) {
            return Err(already_exists(resource, &name));
        }
        self.complete(kind, &mut object, now)?;
        self.sound(kind, (None, &object), "spec")?;
        let stored = self.store_first((kind, &key), object, now);
        Ok(stored.object.clone())
    }

    /// Whether a namespace takes new objects.
    fn open(&self, kind: usize, name: &str, namespace: &str) -> Result<(), Failure> {
        let namespaces = self.namespaces();
        let found = self.shelves[namespaces].objects.get(namespace);
        let found = found.ok_or_else(|| not_found(&self.kinds[namespaces], namespace))?;
        if found.object["metadata"]["deletionTimestamp"].is_null() {
            Ok(())
        } else {
            Err(terminating(&self.kinds[kind], name, namespace))
        }
    }

    /// What the server says of a new object.
    fn complete(&mut self, kind: usize, object: &mut Value, now: Timestamp) -> Result<(), Failure> {
        let uid = self.new_uid();
        let resource = &self.kinds[kind];
        if resource.has_status()
            && let Some(object) = object.as_object_mut()
        {
            object.remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for name in PROTECTED {
                metadata.remove(*name);
            }
        }
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(uid);
        metadata["creationTimestamp"] = json!(seconds(now));
        if resource.has_generation() {
            metadata["generation"] = json!(1);
        }
        if matches!(resource.nature, Nature::Namespace) {
            metadata["labels"]["kubernetes.io/metadata.name"] = metadata["name"].clone();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        *object = self.decoded(kind, object.take())?;
        Ok(())
    }

    /// That an object keeps the rules of its kind; of its status if that is what is written.
    fn sound(
        &self,
        kind: usize,
        (before, object): (Option<&Value>, &Value),
        part: &str,
    ) -> Result<(), Failure> {
        let resource = &self.kinds[kind];
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let flaw = flaw(resource, before, object);
        let flaw = flaw.map(|(field, message)| cause(field, &message));
        let breaches = resource.breaches(part, object).into_iter();
        let breaches = breaches.map(|(field, message)| cause(&field, &message));
        let causes: Vec<_> = flaw.into_iter().chain(breaches).collect();
        if causes.is_empty() {
            return Ok(());
        }
        Err(invalid(resource, (&resource.kind, name), causes))
    }

    fn decoded(&self, kind: usize, object: Value) -> Result<Value, Failure> {
        let decoded = self.kinds[kind].decode(object);
        decoded.map_err(|why| bad_request(&format!("the object cannot be decoded: {why}")))
    }

    /// What a write may say about itself.
    fn admits(&self, call: &mut Call) -> Result<(), Failure> {
        match call.query.take("fieldValidation").as_deref() {
            None | Some("Ignore" | "Warn") => {}
            Some(_) => return Err(not_imitated("strict field validation")),
        }
        if let Some(Subresource::Status) = call.subresource
            && !self.kinds[call.kind].has_status()
        {
            return Err(not_imitated("a status of this kind"));
        }
        call.query.take("fieldManager");
        Ok(())
    }

    pub(crate) fn update(
        &mut self,
        mut call: Call,
        now: Timestamp,
    ) -> Result<(u16, Value), Failure> {
        self.admits(&mut call)?;
        call.query.finish()?;
        let new = self.decoded(call.kind, call.body.take())?;
        let said = |field: &str| new["metadata"][field].as_str().unwrap_or_default();
        if said("name") != call.name {
            return Err(bad_request(&format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                said("name"),
                call.name
            )));
        }
        let namespace = call.namespace.as_deref().unwrap_or_default();
        if !said("namespace").is_empty() && said("namespace") != namespace {
            return Err(bad_request(&format!(
                "the namespace of the object ({}) does not match the namespace on the request ({namespace})",
                said("namespace")
            )));
        }
        let key = key(call.namespace.as_deref(), &call.name);
        let Some(old) = self.shelves[call.kind].objects.get(&key).cloned() else {
            return self.create_by_update(&call, new, now);
        };
        self.same_uid(&new, &call, Some(&old))?;
        let change = Change::of(call, (key, old), new);
        Ok((200, self.change(change, now)?))
    }

    fn create_by_update(
        &mut self,
        call: &Call,
        new: Value,
        now: Timestamp,
    ) -> Result<(u16, Value), Failure> {
        let resource = &self.kinds[call.kind];
        if !resource.creates_on_update() {
            return Err(not_found(resource, &call.name));
        }
        self.same_uid(&new, call, None)?;
        let namespace = call.namespace.clone().unwrap_or_default();
        Ok((201, self.create_object(call.kind, &namespace, new, now)?))
    }

    /// That an update is about the object that there is, if it names one.
    fn same_uid(&self, new: &Value, call: &Call, old: Option<&Stored>) -> Result<(), Failure> {
        let uid = |object: &Value| {
            object["metadata"]["uid"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let wanted = uid(new);
        let present = old.map(|old| uid(&old.object)).unwrap_or_default();
        if wanted.is_empty() || wanted == present {
            return Ok(());
        }
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {present}"
        );
        Err(conflict(&self.kinds[call.kind], &call.name, &why))
    }

    /// The object that a patch is about.
    pub(crate) fn patched(&self, call: &Call) -> Result<(String, Arc<Stored>), Failure> {
        let key = key(call.namespace.as_deref(), &call.name);
        let found = self.shelves[call.kind].objects.get(&key).cloned();
        let found = found.ok_or_else(|| not_found(&self.kinds[call.kind], &call.name))?;
        Ok((key, found))
    }

    pub(crate) fn merge_patch(&mut self, mut call: Call, now: Timestamp) -> Result<Value, Failure> {
        self.admits(&mut call)?;
        call.query.finish()?;
        let (key, old) = self.patched(&call)?;
        let mut new = old.object.clone();
        merge(&mut new, &call.body);
        let resource = &self.kinds[call.kind];
        if new["metadata"]["uid"] != old.object["metadata"]["uid"] {
            return Err(not_imitated("a merge patch that changes the UID"));
        }
        if new["metadata"]["name"] != old.object["metadata"]["name"] {
            return Err(bad_request(&format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                new["metadata"]["name"].as_str().unwrap_or_default(),
                call.name
            )));
        }
        let new = resource
            .decode(new)
            .map_err(|why| bad_request(&format!("the object cannot be decoded: {why}")))?;
        let change = Change::of(call, (key, old), new);
        self.change(change, now)
    }

    /// That a write was decided for the version that there is, if it names one.
    fn same_version(&self, new: &Value, kind: usize, old: &Stored) -> Result<(), Failure> {
        let metadata = &new["metadata"];
        let resource = &self.kinds[kind];
        let name = old.object["metadata"]["name"].as_str().unwrap_or_default();
        match metadata["resourceVersion"].as_str() {
            Some(version) if version != old.revision.to_string() => {
                Err(conflict(resource, name, MODIFIED))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Carries an update out.
    fn change(&mut self, change: Change, now: Timestamp) -> Result<Value, Failure> {
        let Change {
            kind,
            key,
            name,
            old,
            mut new,
            of_status,
        } = change;
        let resource = &self.kinds[kind];
        let version = new["metadata"]
            .get("resourceVersion")
            .and_then(Value::as_str);
        if version.is_none() && !resource.updates_unconditionally() {
            let cause = cause(
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            );
            return Err(invalid(resource, (&resource.plural, &name), vec![cause]));
        }
        self.same_version(&new, kind, &old)?;
        if of_status && resource.has_status() {
            let status = new.get_mut("status").map_or_else(|| json!({}), Value::take);
            return self.write_status((kind, &key), &old, status, now);
        }
        self.protect(kind, &old, &mut new);
        if new == old.object && !old.unsettled {
            return Ok(new);
        }
        self.sound(kind, (Some(&old.object), &new), "spec")?;
        if is_done(resource.namespaced, &new) {
            self.take_away(kind, &key);
            return Ok(new);
        }
        Ok(self.store((kind, &key), new, now).object.clone())
    }

    /// Keeps what only the server changes, and counts changes of the rest.
    fn protect(&self, kind: usize, old: &Stored, new: &mut Value) {
        let resource = &self.kinds[kind];
        let before = &old.object;
        for field in PROTECTED
            .iter()
            .chain(&["uid", "resourceVersion", "namespace"])
        {
            match before["metadata"].get(field) {
                Some(value) => new["metadata"][field] = value.clone(),
                None => {
                    remove(&mut new["metadata"], field);
                }
            }
        }
        let has_status = resource.has_status();
        if has_status || matches!(resource.nature, Nature::Namespace) {
            match before.get("status") {
                Some(status) => new["status"] = status.clone(),
                None => {
                    remove(new, "status");
                }
            }
        }
        let is_rest = |(name, _): &(&String, &Value)| *name != "metadata";
        let rest = |object: &Value| -> Map<String, Value> {
            let fields = object.as_object().into_iter().flatten().filter(is_rest);
            fields
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        if resource.has_generation() && rest(before) != rest(new) {
            let generation = before["metadata"]["generation"]
                .as_u64()
                .unwrap_or_default();
            new["metadata"]["generation"] = json!(generation + 1);
        }
    }

    fn write_status(
        &mut self,
        (kind, key): (usize, &str),
        old: &Stored,
        status: Value,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let mut new = old.object.clone();
        new["status"] = status;
        self.sound(kind, (Some(&old.object), &new), "status")?;
        let new = self.decoded(kind, new)?;
        if new == old.object && !old.unsettled {
            return Ok(new);
        }
        Ok(self.store((kind, key), new, now).object.clone())
    }
}

/// Whether an object is to be deleted and nobody holds it.
pub(crate) fn is_done(namespaced: bool, object: &Value) -> bool {
    let holders = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let metadata = &object["metadata"];
    !metadata["deletionTimestamp"].is_null()
        && !holders(&metadata["finalizers"])
        && (namespaced || !holders(&object["spec"]["finalizers"]))
}

pub(crate) fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(field);
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            remove(target, name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

/// As objects say when something was.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
