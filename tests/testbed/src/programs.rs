//! Where our own programs are: named by the environment, beside us, or built now.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::{Attempt, Error};

/// The operator.
pub(crate) const OPERATOR: &str = "hybrid-calendar-operator";
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The operator's program, found once.
pub(crate) async fn operator() -> Result<&'static Path, Error> {
    static PATH: OnceCell<PathBuf> = OnceCell::const_new();
    PATH.get_or_try_init(|| path(OPERATOR))
        .await
        .map(PathBuf::as_path)
}

/// A program of the workspace; `GRAPH_EMULATOR_BIN` names that of `graph-emulator`, and so on.
pub async fn path(name: &str) -> Result<PathBuf, Error> {
    let variable = format!("{}_BIN", name.to_uppercase().replace('-', "_"));
    if let Some(path) = std::env::var_os(&variable) {
        return Ok(path.into());
    }
    if let Some(path) = beside_us(name)? {
        return Ok(path);
    }
    let status = Command::new("cargo")
        .args(["build", "--locked", "--workspace", "--bin", name])
        .current_dir(WORKSPACE)
        .kill_on_drop(true)
        .status()
        .await
        .attempt(format!("run cargo build for {name}"))?;
    beside_us(name)?.ok_or_else(|| Error::Program {
        program: format!("cargo build --bin {name} ({status})"),
        output: format!("set {variable} to the program instead"),
    })
}

/// In our own folder, or above it: tests are in `deps`.
fn beside_us(name: &str) -> Result<Option<PathBuf>, Error> {
    let ourselves = std::env::current_exe().attempt("find our own program")?;
    Ok(ourselves
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file()))
}
