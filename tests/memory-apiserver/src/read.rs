//! Reading: one object, or a page of many as they were at one moment.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::{Call, Form, Subresource};
use crate::cluster::{Cluster, key, shown};
use crate::failure::{Failure, bad_request, expired, not_found, not_imitated};
use crate::selector::Filter;
use crate::shelf::Stored;

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start \
a new list without the continue parameter.";
const LIST_TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

/// Where a list goes on, and as of when.
#[derive(Serialize, Deserialize)]
struct Continuation {
    rv: u64,
    start: String,
}

/// What of which moment is listed.
struct Page {
    revision: u64,
    from: String,
    limit: usize,
    is_next: bool,
}

impl Cluster {
    pub(crate) fn get(&self, mut call: Call) -> Result<Value, Failure> {
        let resource = &self.kinds[call.kind];
        match call.subresource {
            None => {}
            Some(Subresource::Status) if resource.has_status() => {}
            Some(Subresource::Status | Subresource::Token) => {
                return Err(not_imitated("reading this subresource"));
            }
        }
        self.not_in_future(call.query.number("resourceVersion")?)?;
        call.query.finish()?;
        let key = key(call.namespace.as_deref(), &call.name);
        let stored = self.shelves[call.kind].objects.get(&key);
        stored
            .map(|stored| stored.object.clone())
            .ok_or_else(|| not_found(resource, &call.name))
    }

    /// What is newer than everything is waited for by the real server, and then refused.
    pub(crate) fn not_in_future(&self, revision: Option<u64>) -> Result<(), Failure> {
        match revision {
            Some(revision) if revision > self.revision() => {
                Err(not_imitated("a resourceVersion that is not there yet"))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn filter(&self, call: &mut Call) -> Result<Filter, Failure> {
        let prefix = call
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}/"));
        let labels = call.query.take("labelSelector");
        let fields = call.query.take("fieldSelector");
        Filter::parse(
            &self.kinds[call.kind],
            prefix.unwrap_or_default(),
            labels.as_deref(),
            fields.as_deref(),
        )
    }

    pub(crate) fn list(&self, mut call: Call) -> Result<Value, Failure> {
        let filter = self.filter(&mut call)?;
        let page = self.page(&mut call)?;
        call.query.finish()?;
        let resource = &self.kinds[call.kind];
        let too_old = if page.is_next {
            CONTINUE_TOO_OLD
        } else {
            LIST_TOO_OLD
        };
        let objects = self.shelves[call.kind]
            .at(page.revision, page.from.as_str().max(&filter.prefix))
            .ok_or_else(|| expired(too_old))?;
        let mut chosen = objects
            .into_iter()
            .take_while(|(key, _)| key.starts_with(&filter.prefix))
            .filter(|(key, stored)| filter.chooses(resource, key, &stored.object));
        let mut items = Vec::new();
        let mut last = String::new();
        for (key, stored) in chosen.by_ref().take(page.limit) {
            key.clone_into(&mut last);
            items.push(self.item(&call, stored));
        }
        let remaining = chosen.count();
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        if resource.is_custom() && call.form == Form::Full {
            metadata["continue"] = json!("");
        }
        if remaining > 0 {
            let start = format!("{last}\0");
            metadata["continue"] = json!(
                Continuation {
                    rv: page.revision,
                    start
                }
                .written()
            );
            if filter.is_everything() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        let (kind, version) = match call.form {
            Form::Full => (format!("{}List", resource.kind), resource.api_version()),
            Form::Metadata => (
                "PartialObjectMetadataList".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
        };
        Ok(json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}))
    }

    fn page(&self, call: &mut Call) -> Result<Page, Failure> {
        let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
        let revision = call.query.number("resourceVersion")?;
        let exact = match call.query.take("resourceVersionMatch").as_deref() {
            Some("Exact") => true,
            Some("NotOlderThan") | None => false,
            Some(_) => return Err(not_imitated("this resourceVersionMatch")),
        };
        self.not_in_future(revision)?;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        let page = |revision, from, is_next| Page {
            revision,
            from,
            limit,
            is_next,
        };
        match (call.query.take("continue"), revision) {
            (Some(_), Some(_)) => Err(not_imitated("a continued list with a resourceVersion")),
            (Some(token), None) => {
                let Continuation { rv, start } = Continuation::read(&token)?;
                Ok(page(rv, start, true))
            }
            (None, Some(revision)) if exact && revision > 0 => {
                Ok(page(revision, String::new(), false))
            }
            (None, _) if exact => Err(bad_request("an exact list needs a resourceVersion")),
            (None, Some(1..)) if limit != usize::MAX => {
                Err(not_imitated("a limited list at a resourceVersion"))
            }
            (None, _) => Ok(page(self.revision(), String::new(), false)),
        }
    }

    /// In a list, built-in kinds do not repeat what they are.
    fn item(&self, call: &Call, stored: &Arc<Stored>) -> Value {
        let mut object = stored.object.clone();
        if call.form == Form::Full
            && !self.kinds[call.kind].is_custom()
            && let Some(object) = object.as_object_mut()
        {
            object.remove("kind");
            object.remove("apiVersion");
        }
        shown(call.form, object)
    }
}

impl Continuation {
    fn written(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn read(token: &str) -> Result<Self, Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|_| bad_request("continue key is not valid"))
    }
}
