//! Checking tenants and mailboxes from files, without a cluster: what an administrator tries before installing
//! anything.
//!
//! The questions, the rules and the looks are the controllers'; only where objects and credentials lie is different.
//! Read in the order of a run: `manifests` (with `yaml`, `schema` and `rules`) → `objects` → `offers` → `run` (with `judge`) → `report`
//! → `table`. Nothing here touches the command line or decides what a condition says.

pub mod consent;
pub mod judge;
pub mod manifests;
pub mod objects;
pub mod offers;
pub mod report;
pub mod rules;
pub mod run;
pub mod schema;
pub mod table;
pub mod yaml;

#[cfg(test)]
mod fuzz;
