//! The page of flags, from the parser's own definition.

use std::fmt::Write as _;

use clap::{Arg, Args as _, Command};

use super::cell;
use crate::config::flags::Flags;

const INTRODUCTION: &str = "\
# Flags of `hybrid-calendar-operator run`

Each flag can also be set by its environment variable; the flag wins. All are checked at start, and every problem is
listed at once.

| Flag | Environment | Default | Meaning |
| --- | --- | --- | --- |
";

/// The whole page.
pub(super) fn page() -> String {
    let command = Flags::augment_args(Command::new("run"));
    let mut page = INTRODUCTION.to_owned();
    for flag in command.get_arguments().filter(|a| !a.is_hide_set()) {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            cell(&usage(flag)),
            code(flag.get_env().and_then(|e| e.to_str())),
            code(flag.get_default_values().first().and_then(|v| v.to_str())),
            cell(&flag.get_help().map(ToString::to_string).unwrap_or_default())
        );
    }
    page
}

fn usage(flag: &Arg) -> String {
    let name = flag.get_long().unwrap_or_default();
    let value = flag.get_value_names().and_then(|names| names.first());
    match value {
        Some(value) => format!("--{name} {value}"),
        None => format!("--{name}"),
    }
}

fn code(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => format!("`{text}`"),
        Some(_) | None => String::new(),
    }
}
