//! The tenant's decisions in worlds that a few lines describe.

mod conditions;
mod outages;
mod passes;
mod properties;
mod specs;
mod world;
