//! The one integration test binary: the operator on a real API server against the Graph emulator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod api_contract;
mod behaviour;
mod behaviour_docs;
mod faults;
mod generated;
mod graph;
mod layers;
mod leader;
mod markdown;
mod merge_patch;
mod packaging;
mod repository;
mod tidy;
