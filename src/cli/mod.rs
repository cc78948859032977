//! The command line: what a person or a Pod can ask this program to do.
//!
//! Parsing, printing and exit codes. Each subcommand is a module.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::check::Flags as CheckFlags;
use crate::config::flags::Flags;
use crate::config::rbac::Flags as RbacFlags;

mod check;
pub mod crd;
mod docs;
pub mod rbac;
pub mod run;

/// Something failed while running.
const FAILED: u8 = 1;

/// The flags are wrong; as the parser itself exits for unknown ones.
const MISUSED: u8 = 2;

const EXIT_CODES: &str = "Exit codes:
  0  done, or stopped by SIGTERM or SIGINT
  1  something failed: the last log line says what
  2  the flags are wrong: every problem is listed on standard error";

/// Proves and keeps Microsoft 365 calendar integrations working
#[derive(Debug, Parser)]
#[command(name = "hybrid-calendar-operator", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator; the cluster is the one it runs in, or that of KUBECONFIG
    #[command(after_help = EXIT_CODES)]
    Run(Box<Flags>),
    /// Test tenants and mailboxes from files, before anything is installed; needs no cluster
    #[command(after_help = check::EXIT_CODES)]
    Check(Box<CheckFlags>),
    /// Print the CustomResourceDefinitions as YAML
    Crd,
    /// Write the CRDs and the reference pages into a checkout of the repository
    Docs(docs::Flags),
    /// Print exactly the permissions that the operator needs as YAML
    Rbac(RbacFlags),
}

/// Runs the program with the arguments and environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(flags) => run::run(&flags),
        Command::Check(flags) => check::check(&flags),
        Command::Crd => print(crd::yaml()),
        Command::Docs(flags) => print(flags.write()),
        Command::Rbac(flags) => match flags.access() {
            Ok(access) => print(rbac::yaml(&access)),
            Err(problems) => misused(&problems),
        },
    }
}

/// What prevented a text from being made or written.
type Printable = Result<String, serde_yaml_ng::Error>;

fn print<E: Into<Box<dyn std::error::Error>>>(text: Result<String, E>) -> ExitCode {
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            complain(&error.into());
            return ExitCode::from(FAILED);
        }
    };
    let written = io::stdout().write_all(text.as_bytes());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn misused(problems: &crate::config::Problems) -> ExitCode {
    complain(problems);
    ExitCode::from(MISUSED)
}

/// To a person, before or without logging.
fn complain(what: &dyn std::fmt::Display) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "hybrid-calendar-operator: {what}");
}

/// Several objects as one YAML stream.
fn documents<T: serde::Serialize>(objects: &[T]) -> Printable {
    objects.iter().try_fold(String::new(), |stream, object| {
        Ok(stream + "---\n" + &serde_yaml_ng::to_string(object)?)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
