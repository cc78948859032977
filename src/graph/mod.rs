//! Everything that is said to Microsoft: tokens from Entra, calls to Graph, budgets and patience.
//!
//! Knows HTTP and Graph's spelling. Knows nothing of Kubernetes, conditions or what should be.
//!
//! A call passes these layers, each a `tower::Service`, outermost first:
//!
//! | Layer | Does |
//! | --- | --- |
//! | [`gateway`] | turns an operation into a call and its answer into a value or a [`error::GraphError`] |
//! | `authorized` | attaches the token; after a 401, or a 403 with an old token, repeats once with a fresh one |
//! | `breaker` | spares a host that keeps failing, and who waits for it; one call at a time finds out whether it is back |
//! | `retry` | repeats what may be repeated, within the caller's patience and the tenant's retry budget |
//! | `admission` | fence, `Retry-After` of earlier answers, budgets, calls in flight |
//! | `coalesced` | puts small reads that are asked for together into one `$batch` |
//! | `measured` | counts and times each request |
//! | `timed` | bounds each attempt |
//! | `transport` | one request by the carrier it was given, one bounded answer |
//!
//! Token requests enter at `breaker`, so they obey the same rules. Every part of a `$batch` has been admitted by
//! itself, and its answer passes holds and retries alone: callers do not notice.
//!
//! Two bounds hold for every call: it *waits* (for a budget, a `Retry-After`, a place in the queue, between
//! attempts) no longer than its patience, and each attempt lasts no longer than its time limit.

pub mod cloud;
pub mod credential;
pub mod error;
pub mod gateway;
pub mod model;
pub mod operation;

mod admission;
mod assertion;
mod authorized;
mod breaker;
mod budget;
mod call;
mod circuit;
mod classify;
mod coalesced;
mod directory;
mod entra;
mod envelope;
mod holds;
mod lanes;
mod lessons;
mod mailbox;
mod measured;
mod redact;
mod retry;
mod shared;
mod subscriptions;
mod timed;
mod token;
mod transport;
mod wire;

#[cfg(test)]
mod tests;
