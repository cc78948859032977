//! Deleting: at once, or as soon as nobody holds the object any more.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::cluster::Cluster;
use crate::failure::{Failure, conflict, not_imitated};
use crate::resource::Nature;
use crate::shelf::Stored;
use crate::write::{is_done, remove, seconds};

impl Cluster {
    pub(crate) fn delete(&mut self, mut call: Call, now: Timestamp) -> Result<Value, Failure> {
        call.query.finish()?;
        if call.subresource.is_some() {
            return Err(not_imitated("deleting a subresource"));
        }
        let options = call.body.take();
        let (key, old) = self.patched(&call)?;
        self.wanted(&options, call.kind, &old)?;
        let resource = &self.kinds[call.kind];
        if is_done(resource.namespaced, &deleted(&old.object, now)) {
            self.take_away(call.kind, &key);
            let resource = &self.kinds[call.kind];
            if resource.shows_what_it_deleted() {
                return Ok(old.object.clone());
            }
            return Ok(json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": call.name, "group": resource.group, "kind": resource.plural,
                    "uid": old.object["metadata"]["uid"],
                },
            }));
        }
        if !old.object["metadata"]["deletionTimestamp"].is_null() {
            return Ok(old.object.clone());
        }
        let mut new = deleted(&old.object, now);
        if matches!(resource.nature, Nature::Namespace) {
            remove(&mut new["metadata"], "deletionGracePeriodSeconds");
            new["status"]["phase"] = json!("Terminating");
        }
        Ok(self.store((call.kind, &key), new, now).object.clone())
    }

    /// That the object is the one that is to be deleted.
    fn wanted(&self, options: &Value, kind: usize, old: &Stored) -> Result<(), Failure> {
        let metadata = &old.object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        for option in options.as_object().into_iter().flatten() {
            match (option.0.as_str(), option.1.as_str()) {
                ("apiVersion" | "kind" | "preconditions", _)
                | ("propagationPolicy", Some("Background")) => {}
                (name, _) => return Err(not_imitated(&format!("deleting with {name}"))),
            }
        }
        let table = [
            ("uid", "UID", "been deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "been modified"),
        ];
        for (field, spelled, why) in table {
            let present = metadata[field].as_str().unwrap_or_default();
            let wanted = options["preconditions"][field].as_str();
            if let Some(wanted) = wanted.filter(|wanted| *wanted != present) {
                let why = format!(
                    "the {spelled} in the precondition ({wanted}) does not match the {spelled} in record ({present}). The object might have {why}"
                );
                return Err(conflict(&self.kinds[kind], name, &why));
            }
        }
        Ok(())
    }
}

/// As it is once somebody has deleted it.
fn deleted(object: &Value, now: Timestamp) -> Value {
    let mut object = object.clone();
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!(seconds(now));
    metadata["deletionGracePeriodSeconds"] = json!(0);
    if let Some(generation) = metadata["generation"].as_u64() {
        metadata["generation"] = json!(generation + 1);
    }
    object
}
