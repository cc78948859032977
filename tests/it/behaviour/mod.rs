//! What the operator does in each situation of `docs/behaviour.md`: as a process with the shipped rights, on a real API
//! server, against the emulator. Asserted are the two worlds, cluster and Graph, not the calls in between.

mod access;
mod activation;
mod addresses;
pub(crate) mod certificates;
mod copies;
mod crashes;
mod credentials;
mod deletion;
mod endpoints;
pub(crate) mod hearing;
mod neighbour;
mod notifications;
pub(crate) mod pair;
mod passing_on;
mod patience;
mod recorder;
pub(crate) mod scene;
mod subscriptions;
mod unshown;
