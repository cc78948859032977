//! `docs`: the CRDs, reference pages and heads of runbooks, written into a checkout of the repository.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::reference;

/// Flags of `docs`.
#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Root of the repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

impl Flags {
    /// Writes every generated file and lists them.
    pub(super) fn write(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut written = String::new();
        let heads = reference::runbooks::runbooks().into_iter().map(|runbook| {
            let present = std::fs::read_to_string(self.root.join(&runbook.path));
            runbook.with_rest_of(&present.unwrap_or_default())
        });
        for file in reference::files()?.into_iter().chain(heads) {
            let path = self.root.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            std::fs::write(&path, &file.content)?;
            written += &file.path;
            written.push('\n');
        }
        Ok(written)
    }
}
