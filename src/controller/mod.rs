//! The edges around the decisions: watches that fill the store, the shell of the work queue, and the passes that
//! observe, plan, apply and write status.
//!
//! Everything that decides is in `domain`; what is said to Microsoft is in `graph`. Nothing here knows HTTP.

mod changes;
mod cluster;
pub mod collector;
pub mod credential;
mod dispatch;
mod events;
#[cfg(test)]
mod fuzz;
mod item;
#[cfg(test)]
mod kept;
pub mod labels;
pub mod lead;
pub mod mailbox;
pub mod mirror;
mod objects;
mod places;
mod removal;
mod set_clock;
#[cfg(test)]
mod stage;
mod status;
mod streamed;
mod sweep;
mod take_over;
pub mod tenant;
mod tenants;
pub mod translate;
mod watch;
mod ways;
pub mod world;
