//! The edges around the decisions: watches that fill the store, the shell of the work queue, and the passes that
//! observe, plan, apply and write status.
//!
//! Everything that decides is in `domain`; what is said to Microsoft is in `graph`. Nothing here knows HTTP.

pub mod credential;
pub mod tenant;
pub mod translate;
