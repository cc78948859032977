//! Bodies of requests: JSON that says so.

use serde_json::{Map, Value};

use super::Result;
use super::error::{not_imitated, unreadable_body};
use crate::call::Call;

/// The object in the body. Graph does not read a body that is not declared to be JSON.
pub(crate) fn object(call: &Call) -> Result<Map<String, Value>> {
    let kind = call.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(unreadable_body().into());
    }
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(unreadable_body().into()),
    }
}

/// For a call that takes no body; an empty object is none.
pub(crate) fn none(call: &Call) -> Result<()> {
    let absent = call.body.trim_ascii().is_empty() || object(call).is_ok_and(|one| one.is_empty());
    if absent {
        Ok(())
    } else {
        Err(not_imitated("a body of this request"))
    }
}
