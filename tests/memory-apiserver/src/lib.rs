//! A Kubernetes API server in memory, as far as the operator can tell.
//!
//! For simulations of the whole operator in one process: there is no clock, no thread, no socket and nothing random in it,
//! so that a run replays exactly. Time is given, waiting is tokio's.
//!
//! What it imitates is what the operator and its tests use: namespaces, Secrets, ServiceAccounts with tokens, Leases,
//! Events and the kinds of CustomResourceDefinitions, with defaults, pruning and a status apart; get, list in pages or
//! as a stream, watch with bookmarks, create, update, merge patch, delete with finalizers. [`contract`] says what that means, and holds for
//! the real API server too.
//!
//! What it does not do: permissions, admission, rules in CEL and patterns, conversion between versions, garbage
//! collection, server-side apply and `managedFields`. Whatever it does not imitate it refuses with 501 and remembers (see
//! [`MemoryApiServer::not_imitated`]), so that nothing passes by accident.

mod call;
mod cluster;
pub mod contract;
mod delete;
mod failure;
mod journal;
mod kinds;
mod read;
mod resource;
mod rules;
mod schema;
mod selector;
mod server;
mod shelf;
mod token;
mod validation;
mod watch;
mod write;

pub use journal::{About, Write};
pub use server::{ApiService, MemoryApiServer};
pub use watch::Lists;
