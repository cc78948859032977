//! Every decision of the operator, as plain functions and data structures of values.
//!
//! Nothing here is async, reads a clock, or knows a client: time and randomness are arguments, so that a
//! decision can be repeated, tabulated and simulated.

pub mod agenda;
pub mod announce;
pub mod conditions;
pub mod endpoints;
pub mod freshness;
pub mod identity;
pub mod lease;
pub mod mailbox;
pub mod notification_url;
pub mod permission;
pub mod queue;
pub mod reading;
pub mod records;
pub mod schedule;
pub mod store;
pub mod sweep;
pub mod tenant;
pub mod texts;

#[cfg(test)]
mod fuzz;
