//! What a platform team installs and reads: packages, rules, pages.

mod admission;
mod alert_rules;
mod as_installed;
mod chart;
mod chart_values;
mod check;
mod check_equals;
mod cluster;
mod emulated;
mod gitops;
mod helm;
mod install;
mod installation;
mod kustomize;
mod manifests;
mod pages;
mod permissions;
mod rehearsal;
mod runbooks;
mod schemas;
mod site;
