//! Everything that is decided about a mailbox: when to look, what to look at, what it means, what to change,
//! and what the status says.
//!
//! Read in the order of a pass: `desired` → `work` → `look` → `checks` → `subscription` → `status`.

pub mod checks;
pub mod desired;
pub mod look;
pub mod memory;
pub mod snapshot;
pub mod status;
pub mod subscription;
pub mod tenant_view;
pub mod work;

#[cfg(test)]
mod tests;
