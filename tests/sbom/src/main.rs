//! Writes what a program is made of: a software bill of materials in CycloneDX JSON, and the licence texts.
//!
//! Which crates are in it is read from the messages of the very `cargo build` that linked it, not guessed from a
//! dependency graph: a graph also has what only tests, build scripts and macros use, and the features of all members
//! of the workspace at once. Reads and writes files only; starts nothing and asks no network.

mod bill;
mod build;
mod inputs;
mod notices;
mod packages;

use std::process::ExitCode;

use crate::inputs::{Error, Inputs};

fn main() -> ExitCode {
    match write(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sbom: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let inputs = Inputs::parse(arguments)?;
    let linked = build::linked(&inputs.read("messages")?, inputs.text("target")?)?;
    let packages = packages::read(&inputs.read("metadata")?, &inputs.read("lock")?)?;
    let made_of = packages.of(&linked)?;
    let program = inputs.program()?;
    let bill = bill::bill(&program, &made_of, &inputs.systems()?)?;
    let notices = notices::notices(&made_of, &inputs.systems()?)?;
    inputs.write("bill", &bill)?;
    inputs.write("notices", &notices)
}
