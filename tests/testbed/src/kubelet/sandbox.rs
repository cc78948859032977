//! A pod's container as a process of this machine: its folder, environment and arguments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::json;

use super::expand::{Mount, expanded, relocated};
use super::ground::{Ground, missing};
use super::image::{self, Invocation};
use super::{environment, volumes};
use crate::cluster::Connection;
use crate::error::{Attempt, Error};
use crate::{guard, programs};

/// Where a pod finds the cluster.
const IN_CLUSTER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Everything to start a container, as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    program: PathBuf,
    invocation: Invocation,
    mounts: Vec<Mount>,
}

impl Sandbox {
    /// Reads what the pod refers to and writes its volumes below `folder`.
    pub(super) async fn furnish(
        ground: &Ground,
        container: &Container,
        folder: &Path,
    ) -> Result<Self, Error> {
        let reference = container.image.as_deref().unwrap_or_default();
        let image = image::named(reference)
            .ok_or_else(|| missing(reference, "this image cannot be pulled"))?;
        let spec = ground.pod.spec.clone().unwrap_or_default();
        let mounts = mounted(ground, (&spec, container), folder).await?;
        let mut environment = environment::variables(ground, container).await?;
        if let Some(mount) = mounts.iter().find(|mount| mount.inside == IN_CLUSTER) {
            environment.push(kubeconfig(ground, mount, folder)?);
            stand_in_for_the_namespace_file(&mut environment, ground);
        }
        let expand = |text: &String| expanded(text, &environment);
        let words: Vec<String> = container.args.iter().flatten().map(expand).collect();
        let invocation = Invocation {
            arguments: after_program(container, image.program)?
                .iter()
                .map(expand)
                .chain(words)
                .collect(),
            environment,
        };
        let mut invocation = image.confined(invocation, ground.address);
        let texts = invocation.arguments.iter_mut();
        let values = invocation.environment.iter_mut().map(|(_, value)| value);
        for text in texts.chain(values) {
            *text = relocated(text, &mounts);
        }
        Ok(Self {
            program: programs::path(image.program).await?,
            invocation,
            mounts,
        })
    }

    /// A process of this container, to be spawned under guard.
    pub(crate) fn command(&self) -> Command {
        let mut command = guard::command(&self.program);
        command
            .args(&self.invocation.arguments)
            .env_clear()
            .envs(self.invocation.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Another program call in the same surroundings, as probes and hooks make it. The program is ours in any case.
    pub(super) fn other_command(&self, words: &[String]) -> Command {
        let mut command = guard::command(&self.program);
        let words = words.iter().skip(1);
        command
            .args(words.map(|word| relocated(word, &self.mounts)))
            .env_clear()
            .envs(self.invocation.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// The arguments of `command`, which must begin with the program of the image.
fn after_program<'a>(container: &'a Container, program: &str) -> Result<&'a [String], Error> {
    let Some((first, rest)) = container.command.as_deref().and_then(<[_]>::split_first) else {
        return Ok(&[]);
    };
    if first.rsplit('/').next() == Some(program) {
        return Ok(rest);
    }
    Err(missing(first, "there is no such program in the image"))
}

/// Fills the volumes that the container mounts.
async fn mounted(
    ground: &Ground,
    (spec, container): (&PodSpec, &Container),
    folder: &Path,
) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let mut volumes = spec.volumes.iter().flatten();
        let volume = volumes
            .find(|volume| volume.name == mount.name)
            .ok_or_else(|| missing(&mount.name, "there is no such volume"))?;
        let outside = folder.join("volumes").join(&volume.name);
        volumes::fill(ground, volume, &outside).await?;
        mounts.push(Mount {
            inside: mount.mount_path.trim_end_matches('/').to_owned(),
            outside: match &mount.sub_path {
                Some(path) => outside.join(path),
                None => outside,
            },
        });
    }
    Ok(mounts)
}

/// The way to the API server with the pod's own token. In a cluster the client finds the mounted files; here they are in
/// a folder that it cannot guess.
fn kubeconfig(ground: &Ground, mount: &Mount, folder: &Path) -> Result<(String, String), Error> {
    let path = folder.join("kubeconfig");
    let namespace = ground.namespace();
    let connection = Connection {
        server: &ground.server,
        cluster: json!({"certificate-authority": mount.outside.join("ca.crt")}),
        user: json!({"tokenFile": mount.outside.join("token")}),
        namespace: Some(&namespace),
    };
    fs::create_dir_all(folder).attempt(format!("make {}", folder.display()))?;
    connection.write(&path)?;
    Ok(("KUBECONFIG".to_owned(), path.display().to_string()))
}

/// Programs read their namespace from a file under [`IN_CLUSTER`], unless this variable names it.
fn stand_in_for_the_namespace_file(environment: &mut Vec<(String, String)>, ground: &Ground) {
    const VARIABLE: &str = "POD_NAMESPACE";
    if environment.iter().all(|(name, _)| name != VARIABLE) {
        environment.push((VARIABLE.to_owned(), ground.namespace()));
    }
}
