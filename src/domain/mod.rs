//! Every decision of the operator, as plain functions and data structures of values.
//!
//! Nothing here is async, reads a clock, or knows a client: time and randomness are arguments, so that a
//! decision can be repeated, tabulated and simulated.

pub mod conditions;
pub mod endpoints;
pub mod identity;
pub mod mailbox;
pub mod queue;
pub mod reading;
pub mod records;
pub mod schedule;
