//! The programs of a control plane: those of `KUBEBUILDER_ASSETS` when it is set, else built from source, once.
//!
//! The sources are the Go module in `control-plane/`. What was built is kept in the user's cache folder under a hash of
//! that module's `go.mod` and `go.sum`; a lock lets several programs ask at once.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::error::{Attempt, Error};
use crate::guard::{self, Guarded};
use crate::wait;

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane");
const BUILD_DEADLINE: Duration = Duration::from_mins(45);
const PROGRESS: Duration = Duration::from_secs(30);

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
        Some(folder) => in_folder(Path::new(&folder), "etcd").ok_or_else(|| Error::Document {
            what: "KUBEBUILDER_ASSETS".to_owned(),
            message: "the folder must hold kube-apiserver, etcd and kubectl".to_owned(),
        }),
        None => built(Path::new(MODULE)).await,
    }
}

fn in_folder(folder: &Path, etcd: &str) -> Option<Assets> {
    let program = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    Some(Assets {
        kube_apiserver: program("kube-apiserver")?,
        etcd: program(etcd)?,
        kubectl: program("kubectl")?,
    })
}

async fn built(module: &Path) -> Result<Assets, Error> {
    let cache = cache_folder()?;
    let folder = cache.join(fingerprint(module)?);
    // Go names a program after its package: etcd's is `server`.
    if let Some(assets) = in_folder(&folder, "server") {
        return Ok(assets);
    }
    std::fs::create_dir_all(&cache).attempt(format!("make {}", cache.display()))?;
    let _lock = lock(&cache.join("lock")).await?;
    if in_folder(&folder, "server").is_none() {
        build(module, &folder).await?;
    }
    in_folder(&folder, "server").ok_or_else(|| Error::Document {
        what: folder.display().to_string(),
        message: "go build left a program out".to_owned(),
    })
}

fn cache_folder() -> Result<PathBuf, Error> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.map(|base| base.join("hybrid-calendar-operator/control-plane"))
        .ok_or_else(|| Error::Document {
            what: "the environment".to_owned(),
            message: "neither XDG_CACHE_HOME nor HOME is set".to_owned(),
        })
}

fn fingerprint(module: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for name in ["go.mod", "go.sum"] {
        hash.update(read(&module.join(name))?);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Ok(format!("{:016x}", u64::from_be_bytes(first)))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).attempt(format!("read {}", path.display()))
}

async fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).attempt(format!("make {}", path.display()))?;
    let waiting = match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => file,
        Err(TryLockError::Error(source)) => {
            return Err(source).attempt(format!("lock {}", path.display()));
        }
    };
    say("waiting for another build of the control plane");
    wait::for_some("the lock of the build", BUILD_DEADLINE, async || {
        waiting.try_lock().ok()
    })
    .await?;
    Ok(waiting)
}

async fn build(module: &Path, folder: &Path) -> Result<(), Error> {
    let version = kubernetes_version(&read(&module.join("go.mod"))?)?;
    let partial = folder.with_extension("partial");
    let log = folder.with_extension("log");
    std::fs::create_dir_all(&partial).attempt(format!("make {}", partial.display()))?;
    say(&format!(
        "building kube-apiserver {version}, etcd and kubectl from source: once, some minutes"
    ));
    let output = File::create(&log).attempt(format!("make {}", log.display()))?;
    let errors = output.try_clone().attempt("share the build's log")?;
    let mut go = guard::command("go");
    go.args(["build", "-trimpath", "-o"])
        .arg(&partial)
        .arg("-ldflags")
        .arg(format!(
            "-X k8s.io/component-base/version.gitVersion={version}"
        ))
        .args([
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kubectl",
            "go.etcd.io/etcd/server/v3",
        ])
        .env("CGO_ENABLED", "0")
        .current_dir(module)
        .stdout(output)
        .stderr(errors);
    finish(Guarded::spawn("go build", go)?, &log).await?;
    std::fs::rename(&partial, folder).attempt(format!("name {}", folder.display()))?;
    say(&format!("built into {}", folder.display()));
    Ok(())
}

async fn finish(mut go: Guarded, log: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        match go.end(PROGRESS).await {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => {
                return Err(Error::Program {
                    program: "go build (Go 1.26 or newer is needed, or KUBEBUILDER_ASSETS)"
                        .to_owned(),
                    output: tail(log),
                });
            }
            Err(Error::Deadline { .. }) if begin.elapsed() < BUILD_DEADLINE => {
                say(&format!("still building, {} s", begin.elapsed().as_secs()));
            }
            Err(error) => return Err(error),
        }
    }
}

fn kubernetes_version(go_mod: &str) -> Result<String, Error> {
    go_mod
        .lines()
        .find_map(|line| {
            line.trim()
                .trim_start_matches("require ")
                .strip_prefix("k8s.io/kubernetes v")
        })
        .and_then(|rest| rest.split_whitespace().next())
        .map(|version| format!("v{version}"))
        .ok_or_else(|| Error::Document {
            what: "go.mod of the control plane".to_owned(),
            message: "no version of k8s.io/kubernetes".to_owned(),
        })
}

/// The last lines of a log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn say(line: &str) {
    // Straight to standard error: the test harness would hold back what eprintln! writes, for minutes.
    let _ = writeln!(std::io::stderr(), "testbed: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_required_module() {
        let go_mod =
            "module x\n\nrequire (\n\tk8s.io/kubelet v0.36.3\n\tk8s.io/kubernetes v1.36.3\n)\n";
        assert_eq!(kubernetes_version(go_mod).unwrap(), "v1.36.3");
    }
}
