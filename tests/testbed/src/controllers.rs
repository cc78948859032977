//! kube-controller-manager, with the few controllers that an installed chart needs. It costs memory and time: only tests
//! that install something start it.
//!
//! It is built from the same Go module as the API server, also where `KUBEBUILDER_ASSETS` names the rest: that convention
//! has no controllers.

use std::path::{Path, PathBuf};

use crate::control_plane::logged;
use crate::error::Error;
use crate::go_programs::{self, Recipe};
use crate::guard::{self, Guarded};

const PROGRAM: &str = "kube-controller-manager";

const RECIPE: Recipe = Recipe {
    name: PROGRAM,
    module: concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane"),
    packages: &[("k8s.io/kubernetes/cmd/kube-controller-manager", PROGRAM)],
    linker_flags: crate::assets::linker_flags,
    title: "kube-controller-manager (some minutes)",
};

/// Those that make a Deployment into Pods, a Service into endpoints, a PodDisruptionBudget into a number, and that
/// remove what belongs to what was removed.
const CONTROLLERS: [&str; 5] = [
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
    "disruption-controller",
    "garbage-collector-controller",
];

/// Those that give a new namespace what every namespace has, and empty one that is deleted.
const FOR_NAMESPACES: [&str; 3] = [
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "namespace-controller",
];

/// Which controllers run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    /// Just what an installation needs. Namespaces are left to tests, which are many in one cluster.
    Installations,
    /// Also what a namespace needs that a person creates and deletes.
    Namespaces,
}

/// Builds it unless it is there. Where it is.
pub async fn ready() -> Result<PathBuf, Error> {
    Ok(go_programs::ready(&RECIPE).await?.join(PROGRAM))
}

/// Starts it as the administrator. `folder` is the control plane's.
pub(crate) async fn start(
    kubeconfig: &Path,
    folder: &Path,
    extent: Extent,
) -> Result<Guarded, Error> {
    let more: &[&str] = match extent {
        Extent::Installations => &[],
        Extent::Namespaces => &FOR_NAMESPACES,
    };
    let controllers = [&CONTROLLERS[..], more].concat().join(",");
    let mut command = guard::command(ready().await?);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--controllers={controllers}"))
        .arg(format!(
            "--root-ca-file={}",
            folder.join("ca.crt").display()
        ))
        .args([
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]);
    logged(PROGRAM, command, &folder.join("controllers.log"))
}
