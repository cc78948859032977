//! The programs that check and install what is packaged: Helm and kubeconform, built from source, once.
//!
//! The sources are the Go module in `tools/`. `kubectl kustomize` is among the [assets](crate::assets).

use std::path::PathBuf;

use crate::error::Error;
use crate::go_programs::{self, Recipe, required_version};

const RECIPE: Recipe = Recipe {
    name: "tools",
    module: concat!(env!("CARGO_MANIFEST_DIR"), "/tools"),
    packages: &[
        ("helm.sh/helm/v4/cmd/helm", "helm"),
        (
            "github.com/yannh/kubeconform/cmd/kubeconform",
            "kubeconform",
        ),
    ],
    linker_flags: |go_mod| {
        let version = required_version(go_mod, "helm.sh/helm/v4")?;
        Ok(format!(
            "-s -w -X helm.sh/helm/v4/internal/version.version={version}"
        ))
    },
    title: "helm and kubeconform (about two minutes)",
};

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Helm 4.
    pub helm: PathBuf,
    /// Validates manifests by JSON schemas.
    pub kubeconform: PathBuf,
}

/// Finds the programs, or builds them.
pub async fn ready() -> Result<Tools, Error> {
    let folder = go_programs::ready(&RECIPE).await?;
    Ok(Tools {
        helm: folder.join("helm"),
        kubeconform: folder.join("kubeconform"),
    })
}
