//! Everything that is decided about a tenant: when to look, what to look at, what it means, and what the status
//! says.
//!
//! Read in the order of a pass: `desired` → `work` → `looks` → `permissions` → `checks` → `status` → `facts`.
//! Nothing here decides about mailboxes; they read `facts`.

pub mod checks;
pub mod credential;
pub mod desired;
mod domains;
pub mod facts;
mod isolation;
pub mod looks;
pub mod memory;
pub mod observed;
pub mod permissions;
mod provisioning;
mod sentences;
pub mod snapshot;
pub mod status;
pub mod work;

#[cfg(test)]
mod tests;
