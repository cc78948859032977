//! Microsoft Graph and Entra on your own machine.
//!
//! An [`Emulator`] serves a [`World`] of tenants, applications and mailboxes: tokens, organization, domains,
//! users, places, calendars, events and change notifications, with the errors, limits and delays of the
//! real service. Clients only need its address. What it does not imitate it refuses with 501 and notes in
//! its journal, so that no test passes by accident.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use graph_emulator::{Emulator, Options, World};
//!
//! let world = World::from_yaml(include_str!("../examples/world.yaml"))?;
//! let emulator = Emulator::start(world, Options::default()).await?;
//! println!("{}", emulator.base_url());
//! # Ok(())
//! # }
//! ```

mod admin;
mod call;
mod clock;
mod control;
mod core;
mod emulator;
mod entra;
mod fault;
#[cfg(test)]
mod fuzz;
mod graph;
mod ids;
mod journal;
mod notify;
mod operation;
mod outgoing;
mod quota;
mod route;
mod service;
mod state;
mod tls;
pub mod world;

pub use call::ConnectionCut;
pub use control::{Control, ControlError, Removal};
pub use emulator::{Emulator, Options, StartError};
pub use fault::{Cut, FaultRule, Faults, NotificationFaults, RetryAfter};
pub use graph::events::Booking;
pub use journal::{Counts, JournalEntry, NotificationCounts};
pub use notify::LifecycleEvent;
pub use operation::Operation;
pub use outgoing::Outgoing;
pub use service::{EmulatorService, Seclusion};
pub use state::subscriptions::Subscription as SubscriptionView;
pub use tls::TlsError;
pub use world::{World, WorldError};
