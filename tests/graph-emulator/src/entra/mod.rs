//! Entra: tokens for applications, discovery documents, and the check of tokens that come back.

pub(crate) mod bearer;
pub(crate) mod certificate;
pub(crate) mod discovery;
pub(crate) mod error;
mod federation;
mod keys;
pub(crate) mod token;
