//! Where the operator's program is: named by the environment, beside us, or built now.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::{Attempt, Error};

const NAME: &str = "hybrid-calendar-operator";
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The program, found once.
pub(super) async fn path() -> Result<&'static Path, Error> {
    static PATH: OnceCell<PathBuf> = OnceCell::const_new();
    PATH.get_or_try_init(find).await.map(PathBuf::as_path)
}

async fn find() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("HYBRID_CALENDAR_OPERATOR_BIN") {
        return Ok(path.into());
    }
    if let Some(path) = beside_us()? {
        return Ok(path);
    }
    let status = Command::new("cargo")
        .args(["build", "--locked", "--bin", NAME])
        .current_dir(WORKSPACE)
        .kill_on_drop(true)
        .status()
        .await
        .attempt("run cargo build for the operator")?;
    beside_us()?.ok_or_else(|| Error::Program {
        program: format!("cargo build --bin {NAME} ({status})"),
        output: "set HYBRID_CALENDAR_OPERATOR_BIN to the program instead".to_owned(),
    })
}

/// In our own folder, or above it: tests are in `deps`.
fn beside_us() -> Result<Option<PathBuf>, Error> {
    let ourselves = std::env::current_exe().attempt("find our own program")?;
    Ok(ourselves
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file()))
}
