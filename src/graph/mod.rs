//! Everything that is said to Microsoft: tokens from Entra, calls to Graph, budgets and patience.
//!
//! Knows HTTP and Graph's spelling. Knows nothing of Kubernetes, conditions or what should be.

pub mod error;
pub mod model;
pub mod operation;
