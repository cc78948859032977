//! What was said in a whole test run, by all its programs, in files that a later test can search.
//!
//! They grow until somebody removes the folder `testbed` of the build folder, as `make test` does before it begins.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Error};

/// Every line of every operator.
pub const LOGS: &str = "operators.log";
/// Every Event of the shared control planes.
pub const EVENTS: &str = "events.log";
/// Every scrape that a test made, and one at the end of every testbed.
pub const METRICS: &str = "metrics.log";
/// Every status of the operator's objects on the shared control planes, one a line.
pub const STATUSES: &str = "statuses.log";

/// Where a file is.
pub fn path(name: &str) -> Result<PathBuf, Error> {
    let ourselves = std::env::current_exe().attempt("find our own program")?;
    // Cargo leaves a mark in the folder into which it builds.
    let target = ourselves
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .or_else(|| ourselves.parent())
        .unwrap_or(Path::new("."));
    Ok(target.join("testbed").join(name))
}

/// Opens a file to append to it.
pub(crate) fn open(name: &str) -> Result<File, Error> {
    let path = path(name)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).attempt(format!("make {}", folder.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .attempt(format!("open {}", path.display()))
}

/// Appends a text, in one write so that several programs do not mix their lines.
pub(crate) fn append(name: &str, text: &str) -> Result<(), Error> {
    open(name)?
        .write_all(text.as_bytes())
        .attempt(format!("write {name}"))
}
