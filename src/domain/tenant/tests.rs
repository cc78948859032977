//! The tenant's decisions in worlds that a few lines describe.

mod conditions;
mod passes;
mod properties;
mod specs;
mod world;
