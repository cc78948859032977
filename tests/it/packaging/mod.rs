//! What a platform team installs and reads: packages, rules, pages.

mod admission;
mod chart;
mod cluster;
mod helm;
mod install;
mod installation;
mod manifests;
mod runbooks;
mod schemas;
mod values;
