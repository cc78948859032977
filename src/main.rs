//! The operator's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    hybrid_calendar_operator::cli::main()
}
