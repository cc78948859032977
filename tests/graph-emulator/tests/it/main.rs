//! The emulator as its clients meet it: through its service, without sockets, except for receivers of
//! notifications.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applications;
mod assertions;
mod client;
mod errors;
mod events;
mod faults;
mod notifications;
mod ports;
mod program;
mod receiver;
mod refusals;
mod requests;
mod subscriptions;
mod switches;
mod walk;
mod worlds;
