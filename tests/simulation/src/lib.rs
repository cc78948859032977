//! Months of the whole operator in minutes, with everything that goes wrong, from one seed.
//!
//! What runs is the operator's own code: both copies with their passes, gateway, receiver, election and keys, put together
//! by [`hybrid_calendar_operator::process`] as in the program. Around it are the emulator of Microsoft and an API server in
//! memory, in the same process, on tokio's clock, which jumps to the next instant at which something happens. Storms, in
//! which people edit everything and everything fails, alternate with calms, in which all has to become true and quiet.
//!
//! One seed is one process, one thread, and one course of events: [`entropy`] says why. [`play`] plays it; [`report`]
//! makes a table of many.

#![expect(
    clippy::expect_used,
    reason = "a simulation that cannot go on has a mistake of its own, and says where"
)]

mod administrators;
mod copies;
mod dice;
mod edges;
pub mod entropy;
mod foreign;
mod guard;
mod leftovers;
mod link;
mod logs;
pub mod mutants;
mod people;
pub mod play;
mod quiet;
pub mod report;
mod storm;
mod town;
mod truth;
mod weather;
pub mod witness;
