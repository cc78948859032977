//! The CustomResourceDefinitions of `crds/`.

use std::path::Path;

use crate::control_plane::ControlPlane;
use crate::error::{Attempt, Error};
use crate::guard::Guarded;

use tokio::sync::OnceCell;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");

/// All of them, as one stream.
pub fn yaml() -> Result<String, Error> {
    let attempt = || format!("read {FOLDER}");
    let mut paths = std::fs::read_dir(Path::new(FOLDER))
        .attempt(attempt())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .attempt(attempt())?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    paths.sort();
    let mut stream = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).attempt(format!("read {}", path.display()))?;
        stream = stream + "---\n" + &text + "\n";
    }
    Ok(stream)
}

/// Installs them into the shared control plane, once. From then on every status is written into the archive.
pub async fn install(control_plane: &'static ControlPlane) -> Result<(), Error> {
    static INSTALLED: OnceCell<[Guarded; 2]> = OnceCell::const_new();
    INSTALLED
        .get_or_try_init(async || {
            control_plane.install_crds(&yaml()?).await?;
            Ok([
                control_plane.record_statuses("calendartenants.hybridcalendar.dev")?,
                control_plane.record_statuses("workspacemailboxes.hybridcalendar.dev")?,
            ])
        })
        .await
        .map(|_| ())
}
