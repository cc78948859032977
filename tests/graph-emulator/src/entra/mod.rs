//! Entra: tokens for applications, discovery documents, and the check of tokens that come back.

pub(crate) mod bearer;
pub(crate) mod certificate;
pub(crate) mod discovery;
pub(crate) mod error;
pub(crate) mod federation;
mod keys;
pub(crate) mod token;

use url::form_urlencoded;

use crate::call::Call;

/// The first query option that is not among the known ones.
fn unknown_query(call: &Call, known: &[&str]) -> Option<String> {
    let query = call.query.as_deref().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.into_owned())
        .find(|name| !known.contains(&name.as_str()))
}
