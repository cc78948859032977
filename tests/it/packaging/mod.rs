//! What a platform team installs and reads: packages, rules, pages.

mod admission;
mod alert_rules;
mod as_installed;
mod built_once;
mod chart;
mod chart_values;
mod check;
mod check_equals;
mod cluster;
mod dashboard;
mod emulated;
mod gitops;
mod helm;
mod image;
mod install;
mod installation;
mod kustomize;
mod manifests;
mod monitoring;
mod pages;
mod permissions;
mod rehearsal;
mod runbooks;
mod schemas;
mod site;
mod walkthrough;
