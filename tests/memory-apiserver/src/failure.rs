//! What a request is refused with, in the words of the real API server.

use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails};
use serde_json::{Value, json};

use crate::resource::{Nature, Resource};

/// A refusal.
pub(crate) type Failure = Box<Status>;

/// Somebody else wrote in between.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn failure(code: u16, reason: &str, message: &str) -> Status {
    Status::failure(message, reason).with_code(code)
}

fn details(resource: &Resource, name: &str) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: resource.group.clone(),
        kind: resource.plural.clone(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    }
}

/// The real server says this and no more.
pub(crate) fn internal(message: &str) -> Failure {
    failure(500, "", message).boxed()
}

/// The request is wrong in itself.
pub(crate) fn bad_request(message: &str) -> Failure {
    failure(400, "BadRequest", message).boxed()
}

/// There is no such object.
pub(crate) fn not_found(resource: &Resource, name: &str) -> Failure {
    let message = format!("{} \"{name}\" not found", resource.qualified());
    failure(404, "NotFound", &message)
        .with_details(details(resource, name))
        .boxed()
}

/// The name is taken.
pub(crate) fn already_exists(resource: &Resource, name: &str) -> Failure {
    let message = format!("{} \"{name}\" already exists", resource.qualified());
    failure(409, "AlreadyExists", &message)
        .with_details(details(resource, name))
        .boxed()
}

/// The object is another than the request was made for.
pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
    let qualified = resource.qualified();
    let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
    failure(409, "Conflict", &message)
        .with_details(details(resource, name))
        .boxed()
}

/// A field has a value that is not allowed; `named` is the resource or the kind, as the real server happens to say.
pub(crate) fn invalid(
    resource: &Resource,
    (named, name): (&str, &str),
    causes: Vec<StatusCause>,
) -> Failure {
    let mut details = details(resource, name);
    named.clone_into(&mut details.kind);
    let mut named_in_full = resource.qualify(named);
    if matches!(resource.nature, Nature::Event) {
        // Inside, they are of the group in which they were first.
        details.group.clear();
        named.clone_into(&mut named_in_full);
    }
    unprocessable(&named_in_full, details, causes)
}

/// The parameters of a list or of a watch do not go together.
pub(crate) fn invalid_options(causes: Vec<StatusCause>) -> Failure {
    let details = StatusDetails {
        name: String::new(),
        group: "meta.k8s.io".to_owned(),
        kind: "ListOptions".to_owned(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    };
    unprocessable("ListOptions.meta.k8s.io", details, causes)
}

fn unprocessable(named: &str, mut details: StatusDetails, causes: Vec<StatusCause>) -> Failure {
    let said = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message));
    let said = match said.collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let message = format!("{named} \"{}\" is invalid: {said}", details.name);
    details.causes = causes;
    failure(422, "Invalid", &message)
        .with_details(details)
        .boxed()
}

/// A cause of [`invalid`].
pub(crate) fn cause(field: &str, message: &str) -> StatusCause {
    let reasons = [
        ("Required value", "FieldValueRequired"),
        ("Forbidden", "FieldValueForbidden"),
        ("Unsupported value", "FieldValueNotSupported"),
        ("Too long", "FieldValueTooLong"),
        ("Too many", "FieldValueTooMany"),
    ];
    let mut reasons = reasons.iter();
    let reason = match reasons.find(|(start, _)| message.starts_with(start)) {
        Some((_, reason)) => reason,
        None if message.contains("must be of type") => "FieldValueTypeInvalid",
        None => "FieldValueInvalid",
    };
    StatusCause {
        reason: reason.to_owned(),
        message: message.to_owned(),
        field: field.to_owned(),
    }
}

/// Nothing is created in a namespace that is being deleted.
pub(crate) fn terminating(resource: &Resource, name: &str, namespace: &str) -> Failure {
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
    let mut details = details(resource, name);
    details.causes = vec![StatusCause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    }];
    failure(403, "Forbidden", &message)
        .with_details(details)
        .boxed()
}

/// What was asked for is too long ago.
pub(crate) fn expired(message: &str) -> Failure {
    failure(410, "Expired", message).boxed()
}

/// The real API server might do this; here it is not imitated, so that nothing passes by accident.
pub(crate) fn not_imitated(what: &str) -> Failure {
    let message = format!("not imitated: {what}");
    failure(501, "NotImitated", &message).boxed()
}

/// As a body.
pub(crate) fn body(failure: &Status) -> Value {
    let mut body = serde_json::to_value(failure).unwrap_or_default();
    body["kind"] = json!("Status");
    body["apiVersion"] = json!("v1");
    if body["metadata"].is_null() {
        body["metadata"] = json!({});
    }
    body
}
