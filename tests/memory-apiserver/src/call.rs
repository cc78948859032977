//! From an HTTP request to what it asks for.

use std::collections::BTreeMap;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::failure::{Failure, bad_request, not_imitated};
use crate::kinds::Kinds;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    MergePatch,
    Delete,
}

impl Verb {
    /// As the journal names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::MergePatch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A part of an object with a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    Status,
    Token,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    Metadata,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) agent: String,
    pub(crate) verb: Verb,
    /// Index of the kind.
    pub(crate) kind: usize,
    pub(crate) namespace: Option<String>,
    /// Of one object; empty for all.
    pub(crate) name: String,
    pub(crate) subresource: Option<Subresource>,
    pub(crate) query: Query,
    pub(crate) form: Form,
    /// `Null` without one.
    pub(crate) body: Value,
}

impl Call {
    /// Understands a request, or says what is not imitated.
    pub(crate) fn read(kinds: &Kinds, parts: &Parts, body: &[u8]) -> Result<Self, Failure> {
        let path = parts.uri.path();
        let place = Place::read(path).ok_or_else(|| not_imitated(path))?;
        let kind = kinds
            .at(place.group, place.version, place.plural)
            .ok_or_else(|| not_imitated(path))?;
        if place.namespace.is_some() && !kinds[kind].namespaced {
            return Err(not_imitated(path));
        }
        let subresource = match place.subresource {
            None => None,
            Some("status") => Some(Subresource::Status),
            Some("token") => Some(Subresource::Token),
            Some(_) => return Err(not_imitated(path)),
        };
        let mut query = Query::read(parts.uri.query().unwrap_or_default());
        let verb = verb(parts, place.name.is_none(), &mut query)?;
        let body = match body {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes)
                .map_err(|error| bad_request(&format!("the body is no JSON: {error}")))?,
        };
        Ok(Self {
            agent: agent(&parts.headers),
            verb,
            kind,
            namespace: place.namespace.map(str::to_owned),
            name: place.name.unwrap_or_default().to_owned(),
            subresource,
            query,
            form: form(&parts.headers)?,
            body,
        })
    }
}

/// Who asks.
pub(crate) fn agent(headers: &HeaderMap) -> String {
    text(headers, &USER_AGENT).unwrap_or("unknown").to_owned()
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn verb(parts: &Parts, is_collection: bool, query: &mut Query) -> Result<Verb, Failure> {
    let watches = query
        .take("watch")
        .is_some_and(|watch| watch == "true" || watch == "1");
    let patch = text(&parts.headers, &CONTENT_TYPE).unwrap_or_default();
    match (&parts.method, is_collection) {
        (&Method::GET, true) if watches => Ok(Verb::Watch),
        (&Method::GET, true) => Ok(Verb::List),
        (&Method::GET, false) if !watches => Ok(Verb::Get),
        (&Method::POST, _) => Ok(Verb::Create),
        (&Method::PUT, false) => Ok(Verb::Update),
        (&Method::DELETE, false) => Ok(Verb::Delete),
        (&Method::PATCH, false) if patch == "application/merge-patch+json" => Ok(Verb::MergePatch),
        (method, _) => Err(not_imitated(&format!("{method} {patch} here"))),
    }
}

fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    match text(headers, &ACCEPT).unwrap_or("*/*") {
        "*/*" | "application/json" => Ok(Form::Full),
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        | "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" => Ok(Form::Metadata),
        other => Err(not_imitated(&format!("Accept: {other}"))),
    }
}

/// What a path names.
struct Place<'a> {
    group: &'a str,
    version: &'a str,
    namespace: Option<&'a str>,
    plural: &'a str,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn read(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if is_within(rest) => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some(*name), None),
            [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
            _ => return None,
        };
        Some(Self {
            group,
            version,
            namespace,
            plural,
            name,
            subresource,
        })
    }
}

/// `namespaces/NAME` and `namespaces/NAME/status` are about the namespace itself.
fn is_within(rest: &[&str]) -> bool {
    !matches!(rest, [] | ["status" | "finalize"])
}

/// What a request says behind its path. Whatever nobody asks for is not imitated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    fn read(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .into_owned()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    /// A parameter that has a value.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The same as a number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let wrong = |value: &String| bad_request(&format!("{name} is no number: {value}"));
        let value = self.take(name);
        value
            .map(|value| value.parse().map_err(|_| wrong(&value)))
            .transpose()
    }

    /// Whether a parameter is `true`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| value == "true")
    }

    /// That there was nothing else.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.0.first_key_value() {
            None => Ok(()),
            Some((name, value)) => Err(not_imitated(&format!("the parameter {name}={value}"))),
        }
    }
}
