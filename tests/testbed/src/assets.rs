//! The programs of a control plane: those of `KUBEBUILDER_ASSETS` when it is set, else built from source, once.
//!
//! The sources are the Go module in `control-plane/`.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::go_programs::{self, Recipe, required_version};

const RECIPE: Recipe = Recipe {
    name: "control-plane",
    module: concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane"),
    packages: &[
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        // Go names a program after its package.
        ("go.etcd.io/etcd/server/v3", "server"),
    ],
    linker_flags,
    title: "kube-apiserver, etcd and kubectl (some minutes; KUBEBUILDER_ASSETS may name a folder that has them)",
};

/// Programs of Kubernetes do not know their version from the module that they are built from.
pub(crate) fn linker_flags(go_mod: &str) -> Result<String, Error> {
    let version = required_version(go_mod, "k8s.io/kubernetes")?;
    Ok(format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={version}"
    ))
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Assets {
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// Its store.
    pub etcd: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
}

/// Finds the programs, or builds them.
pub async fn ready() -> Result<Assets, Error> {
    match std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
        Some(folder) => provided(Path::new(&folder)),
        None => Ok(in_folder(&go_programs::ready(&RECIPE).await?, "server")),
    }
}

fn provided(folder: &Path) -> Result<Assets, Error> {
    let assets = in_folder(folder, "etcd");
    let programs = [&assets.kube_apiserver, &assets.etcd, &assets.kubectl];
    if programs.iter().all(|program| program.is_file()) {
        return Ok(assets);
    }
    Err(Error::Document {
        what: "KUBEBUILDER_ASSETS".to_owned(),
        message: "the folder must hold kube-apiserver, etcd and kubectl".to_owned(),
    })
}

fn in_folder(folder: &Path, etcd: &str) -> Assets {
    Assets {
        kube_apiserver: folder.join("kube-apiserver"),
        etcd: folder.join(etcd),
        kubectl: folder.join("kubectl"),
    }
}
