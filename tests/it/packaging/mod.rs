//! What a platform team installs and reads: packages, rules, pages.

mod chart;
mod helm;
mod runbooks;
mod values;
