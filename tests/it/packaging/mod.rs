//! What a platform team installs and reads: packages, rules, pages.

mod runbooks;
