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

/// Builds it unless it is there. Where it is.
pub async fn ready() -> Result<PathBuf, Error> {
    Ok(go_programs::ready(&RECIPE).await?.join(PROGRAM))
}

/// Starts it as the administrator.
pub(crate) async fn start(kubeconfig: &Path, log: &Path) -> Result<Guarded, Error> {
    let mut command = guard::command(ready().await?);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--controllers={}", CONTROLLERS.join(",")))
        .args([
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]);
    logged(PROGRAM, command, log)
}
