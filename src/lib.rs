//! Kubernetes operator that proves and keeps Microsoft 365 calendar integrations working.

pub mod admin;
pub mod api;
pub mod api_server;
pub mod aside;
pub mod carrier;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controller;
pub mod domain;
pub mod graph;
pub mod ids;
pub mod keys;
pub mod leader;
pub mod listen;
pub mod metrics;
pub mod notification;
pub mod plain;
pub mod process;
pub mod reference;
pub mod rush;
pub mod secret;
pub mod telemetry;
