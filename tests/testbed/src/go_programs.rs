//! Programs that are built from Go modules of this repository, once.
//!
//! What was built is kept in the user's cache folder under a hash of the module's `go.mod`, `go.sum` and own sources; a
//! lock lets several programs ask at once.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::error::{Attempt, Error};
use crate::guard::{self, Guarded};
use crate::wait;

const BUILD_DEADLINE: Duration = Duration::from_mins(45);
const PROGRESS: Duration = Duration::from_secs(30);

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Names the folder in the cache.
    pub name: &'static str,
    /// Where `go.mod` is.
    pub module: &'static str,
    /// The packages, and how Go names the program of each.
    pub packages: &'static [(&'static str, &'static str)],
    /// For the linker; the module's own `go.mod` is at hand.
    pub linker_flags: fn(go_mod: &str) -> Result<String, Error>,
    /// For people who wait: what is built, and how long that takes.
    pub title: &'static str,
}

/// The folder with the programs of a recipe, which are built when they are not there yet.
pub async fn ready(recipe: &Recipe) -> Result<PathBuf, Error> {
    let cache = cache_folder()?.join(recipe.name);
    let folder = cache.join(fingerprint(recipe)?);
    if complete(recipe, &folder) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&cache).attempt(format!("make {}", cache.display()))?;
    let _lock = lock(&cache.join("lock"), recipe).await?;
    if !complete(recipe, &folder) {
        build(recipe, &folder).await?;
    }
    if complete(recipe, &folder) {
        return Ok(folder);
    }
    Err(Error::Document {
        what: folder.display().to_string(),
        message: "go build left a program out".to_owned(),
    })
}

fn complete(recipe: &Recipe, folder: &Path) -> bool {
    let mut programs = recipe.packages.iter();
    programs.all(|(_, program)| folder.join(program).is_file())
}

/// Where what was built or fetched is kept: in `XDG_CACHE_HOME`, else in `~/.cache`.
fn cache_folder() -> Result<PathBuf, Error> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.map(|base| base.join("hybrid-calendar-operator"))
        .ok_or_else(|| Error::Document {
            what: "the environment".to_owned(),
            message: "neither XDG_CACHE_HOME nor HOME is set".to_owned(),
        })
}

fn fingerprint(recipe: &Recipe) -> Result<String, Error> {
    let module = Path::new(recipe.module);
    let mut hash = Sha256::new();
    for name in ["go.mod", "go.sum"] {
        hash.update(read(&module.join(name))?);
    }
    for source in sources(module)? {
        hash.update(read(&source)?);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Ok(format!("{:016x}", u64::from_be_bytes(first)))
}

/// The module's own code; mostly there is none, because it only names what others wrote.
fn sources(module: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = std::fs::read_dir(module).attempt(format!("read {}", module.display()))?;
    let entries = folder.map(|entry| entry.map(|entry| entry.path()));
    let paths: Result<Vec<PathBuf>, _> = entries.collect();
    let mut paths = paths.attempt(format!("read {}", module.display()))?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "go"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).attempt(format!("read {}", path.display()))
}

async fn lock(path: &Path, recipe: &Recipe) -> Result<File, Error> {
    let file = File::create(path).attempt(format!("make {}", path.display()))?;
    let waiting = match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => file,
        Err(TryLockError::Error(source)) => {
            return Err(source).attempt(format!("lock {}", path.display()));
        }
    };
    say(&format!("waiting for another build of {}", recipe.title));
    wait::for_some("the lock of the build", BUILD_DEADLINE, async || {
        waiting.try_lock().ok()
    })
    .await?;
    Ok(waiting)
}

async fn build(recipe: &Recipe, folder: &Path) -> Result<(), Error> {
    let module = Path::new(recipe.module);
    let linker_flags = (recipe.linker_flags)(&read(&module.join("go.mod"))?)?;
    let partial = folder.with_extension("partial");
    let log = folder.with_extension("log");
    std::fs::create_dir_all(&partial).attempt(format!("make {}", partial.display()))?;
    say(&format!("building {} from source, once", recipe.title));
    let output = File::create(&log).attempt(format!("make {}", log.display()))?;
    let errors = output.try_clone().attempt("share the build's log")?;
    let mut go = guard::command("go");
    go.args(["build", "-trimpath", "-o"])
        .arg(&partial)
        .args(["-ldflags", &linker_flags])
        .args(recipe.packages.iter().map(|(package, _)| package))
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
                    program: "go build (Go 1.26 or newer is needed)".to_owned(),
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

/// The last lines of a log, for an error.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn say(line: &str) {
    // Straight to standard error: the test harness would hold back what eprintln! writes, for minutes.
    let _ = writeln!(std::io::stderr(), "testbed: {line}");
}

/// The modules that a `go.mod` requires, each with the version that is compiled: a replacement's, where there is one.
#[must_use]
pub fn required_modules(go_mod: &str) -> BTreeMap<&str, &str> {
    let mut required = BTreeMap::new();
    for line in go_mod.lines() {
        let line = line.trim().trim_start_matches("require ");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // Replacements come last.
            [module, "=>", _, version] => {
                required.entry(module).and_modify(|known| *known = version);
            }
            [module, version, ..] if version.starts_with('v') => {
                required.insert(module, version);
            }
            _ => {}
        }
    }
    required
}

/// The version of a module that a `go.mod` requires, with its `v`.
pub(crate) fn required_version(go_mod: &str, module: &str) -> Result<String, Error> {
    let version = required_modules(go_mod).get(module).copied();
    version.map(str::to_owned).ok_or_else(|| Error::Document {
        what: "go.mod".to_owned(),
        message: format!("no version of {module}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_required_module() {
        let go_mod =
            "module x\n\nrequire (\n\tk8s.io/kubelet v0.36.3\n\tk8s.io/kubernetes v1.36.3\n)\n";
        let version = required_version(go_mod, "k8s.io/kubernetes");
        assert_eq!(version.unwrap(), "v1.36.3");
        assert!(required_version(go_mod, "k8s.io/kube").is_err());
    }

    #[test]
    fn what_a_module_is_replaced_by_is_what_is_compiled() {
        let go_mod = "module x\n\nrequire (\n\tk8s.io/api v0.0.0 // indirect\n)\n\n\
                      replace (\n\tk8s.io/api => k8s.io/api v0.37.1\n\tk8s.io/kms => k8s.io/kms v0.37.1\n)\n";
        let required = required_modules(go_mod);
        assert_eq!(required, BTreeMap::from([("k8s.io/api", "v0.37.1")]));
    }
}
