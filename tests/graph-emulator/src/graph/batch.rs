//! `$batch`: which envelopes are valid, and what each item becomes.

use std::collections::HashSet;

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Result;
use super::error::{GraphError, error, not_imitated};
use super::payload::object;
use super::query::Query;
use crate::call::{Answer, Call, Content};
use crate::operation::Operation;
use crate::route::route;

const MOST_ITEMS: usize = 20;

const ITEM_FIELDS: &[&str] = &["id", "method", "url", "headers", "body", "dependsOn"];

/// One request of a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    pub(crate) depends_on: Vec<String>,
}

fn invalid(message: impl Into<String>) -> GraphError {
    error(400, "BadRequest", message)
}

/// The items of a valid batch.
pub(crate) fn items(call: &Call) -> Result<Vec<Item>> {
    Query::read(call, &[])?;
    let mut envelope = object(call)?;
    let requests = envelope.remove("requests").unwrap_or_default();
    if let Some(name) = envelope.keys().next() {
        return Err(not_imitated(format!("property {name} of a batch")));
    }
    let names = requests
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object);
    if let Some(name) = names
        .flat_map(serde_json::Map::keys)
        .find(|name| !ITEM_FIELDS.contains(&name.as_str()))
    {
        return Err(not_imitated(format!("property {name} of a batch request")));
    }
    let items: Vec<Item> = serde_json::from_value(requests)
        .map_err(|error| invalid(format!("Invalid batch payload format: {error}.")))?;
    if items.is_empty() || items.len() > MOST_ITEMS {
        return Err(invalid(format!(
            "Invalid batch payload format: a batch has 1 to {MOST_ITEMS} requests."
        ))
        .into());
    }
    let mut known = HashSet::new();
    for item in &items {
        if let Some(missing) = item.depends_on.iter().find(|id| !known.contains(*id)) {
            return Err(invalid(format!(
                "Invalid batch payload format: request {} depends on {missing}, which does not come \
                 before it.",
                item.id
            )).into());
        }
        if !known.insert(item.id.clone()) {
            return Err(
                invalid("Invalid batch payload format: request ids must be unique.").into(),
            );
        }
    }
    let dependent = items
        .iter()
        .filter(|item| !item.depends_on.is_empty())
        .count();
    if dependent > 0 && dependent < items.len() - 1 {
        return Err(invalid(
            "Invalid batch payload format: requests must be fully parallel or fully sequential.",
        )
        .into());
    }
    Ok(items)
}

impl Item {
    /// The operation, if it is one that the emulator imitates.
    pub(crate) fn operation(&self) -> Option<Operation> {
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes()).ok()?;
        Some(route(&method, &self.path())?.operation)
    }

    fn path(&self) -> String {
        let path = self.url.split('?').next().unwrap_or_default();
        format!("/v1.0/{}", path.trim_start_matches('/'))
    }

    /// The call that it stands for, with the authorization of the batch.
    pub(crate) fn call(&self, batch: &Call) -> std::result::Result<Call, GraphError> {
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes())
            .map_err(|_| invalid(format!("The method '{}' is not valid.", self.method)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.to_lowercase().as_bytes());
            let value = value
                .as_str()
                .and_then(|value| HeaderValue::from_str(value).ok());
            let (Ok(name), Some(value)) = (name, value) else {
                return Err(invalid("The headers of the request are not valid."));
            };
            headers.insert(name, value);
        }
        if self.body.is_some() && !headers.contains_key("content-type") {
            let message = "Write request must specify the Content-Type header.";
            return Err(invalid(message));
        }
        if let Some(token) = batch.headers.get("authorization") {
            headers.insert("authorization", token.clone());
        }
        let query = self.url.split_once('?').map(|(_, query)| query.to_owned());
        Ok(Call {
            method,
            path: self.path(),
            query,
            headers,
            body: Bytes::from(
                self.body
                    .as_ref()
                    .map_or_else(String::new, Value::to_string),
            ),
            base: batch.base.clone(),
            batched: true,
        })
    }

    /// Its part of the answer.
    pub(crate) fn response(&self, answer: Answer) -> Value {
        let mut headers = serde_json::Map::new();
        for (name, value) in &answer.headers {
            let value = value.to_str().unwrap_or_default();
            headers.insert(title_case(name.as_str()), value.into());
        }
        let mut response = json!({"id": self.id, "status": answer.status.as_u16()});
        match answer.content {
            Content::Empty => {}
            Content::Text(text) => response["body"] = text.into(),
            Content::Json(body) => {
                headers.insert("Content-Type".to_owned(), "application/json".into());
                response["body"] = body;
            }
        }
        response["headers"] = headers.into();
        response
    }
}

/// `Retry-After`, as the items of a batch spell their headers.
fn title_case(name: &str) -> String {
    if name == "request-id" || name == "client-request-id" || name.starts_with("x-ms-") {
        return name.to_owned();
    }
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters).collect()
        })
    });
    words.collect::<Vec<String>>().join("-")
}
