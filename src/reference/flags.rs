//! The page of flags, from the parser's own definitions.

use std::fmt::Write as _;

use clap::{Arg, Args as _, Command};

use super::cell;
use crate::config::check::Flags as CheckFlags;
use crate::config::flags::Flags;
use crate::config::rbac::Flags as RbacFlags;

const INTRODUCTION: &str = "\
# Flags

## `hybrid-calendar-operator run`

Each flag can also be set by its environment variable; the flag wins. All are checked at start, and every problem is
listed at once.

";

const CHECK: &str = "
## `hybrid-calendar-operator check`

Needs no cluster: [Check before you install](../check.md). No flag takes a secret itself.

";

const RBAC: &str = "
## `hybrid-calendar-operator rbac`

Prints exactly the permissions that an operator with these flags needs, as YAML for `kubectl apply -f -`. Needs no cluster.

";

const TABLE: &str = "\
| Flag | Environment | Default | Meaning |
| --- | --- | --- | --- |
";

/// The whole page.
pub(super) fn page() -> String {
    let run = Flags::augment_args(Command::new("run"));
    let check = CheckFlags::augment_args(Command::new("check"));
    let rbac = RbacFlags::augment_args(Command::new("rbac"));
    [
        INTRODUCTION,
        &table(&run),
        CHECK,
        &table(&check),
        RBAC,
        &table(&rbac),
    ]
    .concat()
}

fn table(command: &Command) -> String {
    let mut table = TABLE.to_owned();
    for flag in command.get_arguments().filter(|a| !a.is_hide_set()) {
        let default = flag.get_default_values().first().and_then(|v| v.to_str());
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            cell(&usage(flag)),
            code(flag.get_env().and_then(|e| e.to_str())),
            code(default.filter(|_| flag.get_action().takes_values())),
            cell(&flag.get_help().map(ToString::to_string).unwrap_or_default())
        );
    }
    table
}

fn usage(flag: &Arg) -> String {
    let short = flag.get_short().map(|letter| format!("-{letter}, "));
    let name = format!(
        "{}--{}",
        short.unwrap_or_default(),
        flag.get_long().unwrap_or_default()
    );
    let value = flag.get_value_names().and_then(|names| names.first());
    match value.filter(|_| flag.get_action().takes_values()) {
        Some(value) => format!("{name} {value}"),
        None => name,
    }
}

fn code(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => format!("`{text}`"),
        Some(_) | None => String::new(),
    }
}
