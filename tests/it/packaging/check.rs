//! `hybrid-calendar-operator check`: what somebody is told who tries a tenant and its mailboxes before installing
//! anything.

mod demo;
mod files;
mod interruption;
mod page;
pub(super) mod program;
mod worlds;
