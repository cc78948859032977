//! Programs that the tests take from the system or from Debian's packages: Prometheus and the like.
//!
//! What they are and how they are had is in `tests/packages`; here is the door to it from Rust.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::{Attempt, Error};

const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packages/install");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packages/python");

/// Where a program of the list in `tests/packages/programs` is; it is got first if it is missing.
pub async fn program(name: &str) -> Result<PathBuf, Error> {
    asked(INSTALL, &[name]).await
}

/// The folder of a Python environment with the packages of a file of requirements; it is made if it is missing.
pub async fn python(name: &str, requirements: &str) -> Result<PathBuf, Error> {
    asked(PYTHON, &[name, requirements]).await
}

/// The path that a script prints.
async fn asked(script: &str, arguments: &[&str]) -> Result<PathBuf, Error> {
    let output = Command::new(script)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .attempt(format!("run {script}"))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&path).exists() {
        return Ok(path.into());
    }
    let (program, arguments) = (script.rsplit_once("/../"), arguments.join(" "));
    let program = program.map_or(script, |(_, program)| program);
    Err(Error::Program {
        program: format!("tests/{program} {arguments} ({})", output.status),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the tools that every system has, and no apt.
    fn bare_system() -> tempfile::TempDir {
        const TOOLS: [&str; 8] = [
            "awk", "basename", "cat", "dirname", "grep", "mktemp", "sed", "sh",
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for tool in TOOLS {
            let found = std::env::split_paths(&path)
                .map(|place| place.join(tool))
                .find(|candidate| candidate.is_file());
            std::os::unix::fs::symlink(found.unwrap(), folder.path().join(tool)).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn everything_that_is_missing_is_named_in_one_message() {
        let system = bare_system();
        let output = Command::new(INSTALL)
            .env("PATH", system.path())
            .env("XDG_CACHE_HOME", system.path())
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
        let message = String::from_utf8(output.stderr).unwrap();
        let names = [
            "prometheus",
            "promtool",
            "alertmanager",
            "buildah",
            "dpkg",
            "flock",
            "unshare",
            "setpriv",
            "taskset",
            "cc",
            "python3",
            "node",
            "npm",
        ];
        for name in names {
            let line = format!("  {name}: Debian and Ubuntu: apt-get install ");
            assert!(message.contains(&line), "{message}");
        }
        assert!(message.contains(
            " all at once: apt-get install prometheus prometheus-alertmanager buildah gcc "
        ));
        assert_eq!(message.matches(" util-linux").count(), 5, "{message}");
    }

    #[tokio::test]
    async fn a_program_is_found_where_it_was_unpacked() {
        let system = bare_system();
        let cache = system.path().join("hybrid-calendar-operator/packages");
        let unpacked = cache.join("prometheus/usr/bin/promtool");
        std::fs::create_dir_all(unpacked.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(INSTALL, &unpacked).unwrap();
        let output = Command::new(INSTALL)
            .arg("promtool")
            .env("PATH", system.path())
            .env("XDG_CACHE_HOME", system.path())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(Path::new(printed.trim()), unpacked);
    }

    #[tokio::test]
    async fn a_program_that_nobody_listed_is_refused() {
        let refused = program("nonsense").await.unwrap_err();
        assert!(
            refused.to_string().contains("nonsense is not in"),
            "{refused}"
        );
    }
}
