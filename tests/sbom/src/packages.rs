//! What is known about packages: from `cargo metadata` name, version, licence and what needs what, from `Cargo.lock`
//! the SHA-256 of the archive that was downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use crate::inputs::Error;

/// A package that is in the program.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
    #[serde(skip)]
    pub(crate) sha256: Option<String>,
    /// Packages in the program that this one uses, by purl.
    #[serde(skip)]
    pub(crate) uses: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// All packages of the workspace, by id.
#[derive(Debug)]
pub(crate) struct Packages {
    known: BTreeMap<String, Package>,
    edges: BTreeMap<String, Vec<String>>,
}

pub(crate) fn read(metadata: &str, lock: &str) -> Result<Packages, Error> {
    let metadata: Metadata =
        serde_json::from_str(metadata).map_err(|error| unreadable("cargo metadata", &error))?;
    let lock: Lock = toml::from_str(lock).map_err(|error| unreadable("Cargo.lock", &error))?;
    let checksums: BTreeMap<_, _> = lock
        .package
        .into_iter()
        .map(|locked| ((locked.name, locked.version), locked.checksum))
        .collect();
    let known = metadata.packages.into_iter().map(|mut package| {
        let key = (package.name.clone(), package.version.clone());
        package.sha256 = checksums.get(&key).cloned().flatten();
        (package.id.clone(), package)
    });
    let edges = metadata.resolve.nodes.into_iter().map(|node| {
        let normal = |edge: &Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
        let used = node.deps.into_iter().filter(normal).map(|edge| edge.pkg);
        (node.id, used.collect())
    });
    Ok(Packages {
        known: known.collect(),
        edges: edges.collect(),
    })
}

impl Packages {
    /// Those that were linked, by name and version.
    pub(crate) fn of(&self, linked: &BTreeSet<String>) -> Result<Vec<Package>, Error> {
        let mut packages = Vec::new();
        for id in linked {
            let mut package = self.package(id)?.clone();
            let used = self.edges.get(id).map_or(&[][..], Vec::as_slice);
            for id in used.iter().filter(|id| linked.contains(*id)) {
                package.uses.insert(self.package(id)?.purl());
            }
            packages.push(package);
        }
        packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        Ok(packages)
    }

    fn package(&self, id: &str) -> Result<&Package, Error> {
        self.known.get(id).ok_or_else(|| Error::Document {
            what: "cargo metadata",
            message: format!("it does not know {id}, which was linked"),
        })
    }
}

impl Package {
    /// Ours are on no registry: somebody else may publish a crate of the same name there.
    pub(crate) fn purl(&self) -> String {
        let version = self.version.replace('+', "%2B");
        let repository = self.repository.as_deref().unwrap_or_default();
        match (&self.source, repository.strip_prefix("https://github.com/")) {
            (None, Some(path)) => format!("pkg:github/{path}@{version}#{}", self.name),
            (None, None) | (Some(_), _) => format!("pkg:cargo/{}@{version}", self.name),
        }
    }

    /// As an SPDX expression; before there was one, a slash meant "or".
    pub(crate) fn licence(&self) -> Result<String, Error> {
        let licence = self.license.as_deref().ok_or_else(|| Error::Document {
            what: "cargo metadata",
            message: format!("{} {} names no licence", self.name, self.version),
        })?;
        let parts: Vec<&str> = licence.split('/').map(str::trim).collect();
        Ok(parts.join(" OR "))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.manifest_path.with_file_name("")
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.source.is_none()
    }
}

fn unreadable(what: &'static str, error: &dyn std::error::Error) -> Error {
    Error::Document {
        what,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [
        {"id": "ours", "name": "ours", "version": "0.1.0", "license": "Apache-2.0", "manifest_path": "/w/Cargo.toml",
         "source": null, "repository": "https://github.com/them/ours"},
        {"id": "lib", "name": "lib", "version": "1.0.0+2", "license": "MIT/Apache-2.0", "manifest_path": "/r/lib/Cargo.toml",
         "source": "registry", "repository": null},
        {"id": "dev", "name": "dev", "version": "3.0.0", "license": null, "manifest_path": "/r/dev/Cargo.toml",
         "source": "registry", "repository": null}],
      "resolve": {"nodes": [{"id": "ours", "deps": [
         {"pkg": "lib", "dep_kinds": [{"kind": null}, {"kind": "build"}]}, {"pkg": "dev", "dep_kinds": [{"kind": "dev"}]}]}]}}"#;
    const LOCK: &str =
        "[[package]]\nname = \"lib\"\nversion = \"1.0.0+2\"\nchecksum = \"c0ffee\"\n";

    fn made_of(ids: &[&str]) -> Result<Vec<Package>, Error> {
        let linked = ids.iter().map(|id| (*id).to_owned()).collect();
        read(METADATA, LOCK)?.of(&linked)
    }

    #[test]
    fn a_package_knows_its_archive_and_what_it_uses() {
        let packages = made_of(&["ours", "lib"]).unwrap();
        assert_eq!(packages[0].sha256.as_deref(), Some("c0ffee"));
        assert_eq!(packages[0].licence().unwrap(), "MIT OR Apache-2.0");
        assert_eq!(packages[1].purl(), "pkg:github/them/ours@0.1.0#ours");
        let used: Vec<_> = packages[1].uses.iter().collect();
        assert_eq!(used, ["pkg:cargo/lib@1.0.0%2B2"]);
    }

    #[test]
    fn a_package_without_a_licence_is_refused() {
        assert!(made_of(&["dev"]).unwrap()[0].licence().is_err());
    }

    #[test]
    fn a_linked_package_that_nobody_knows_is_an_error() {
        assert!(made_of(&["stranger"]).is_err());
    }
}
