//! An image as an OCI image layout: what a registry would get, read without a container tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An image of one layer.
#[derive(Debug)]
pub(super) struct Image {
    folder: TempDir,
    /// SHA-256 of the manifest: the digest by which the image is known.
    pub(super) digest: String,
    /// The image's configuration: `config`, `created`, `rootfs` …
    pub(super) config: Value,
    /// What is transferred, in bytes.
    pub(super) compressed: u64,
    layer: PathBuf,
}

/// A file or folder of the image, as `tar` tells it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) mode: String,
    pub(super) owner: String,
    pub(super) size: u64,
    pub(super) modified: String,
}

impl Image {
    /// Reads the layout in `folder`, which is removed with the image.
    pub(super) fn read(folder: TempDir) -> Self {
        let layout = folder.path().join("layout");
        let json =
            |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            layout.join("blobs").join(digest.replace(':', "/"))
        };
        let index = json(&layout.join("index.json"));
        let described = &index["manifests"][0];
        let manifest = json(&blob(described));
        let [layer] = &manifest["layers"].as_array().unwrap()[..] else {
            panic!("one layer was expected: {manifest:#}");
        };
        Self {
            digest: described["digest"].as_str().unwrap().to_owned(),
            config: json(&blob(&manifest["config"])),
            compressed: layer["size"].as_u64().unwrap(),
            layer: blob(layer),
            folder,
        }
    }

    /// Everything in the image but the root folder, by path.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let listed = self.tar(&[
            "--list",
            "--verbose",
            "--numeric-owner",
            "--utc",
            "--full-time",
        ]);
        let mut entries: Vec<Entry> = listed.lines().map(Entry::parse).collect();
        entries.retain(|entry| !entry.path.is_empty());
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> String {
        let name = self.tar(&["--list"]);
        let mut names = name.lines();
        let name = names.find(|name| clean(name) == path);
        let name = name.unwrap_or_else(|| panic!("{path} is not in the image"));
        self.tar(&["--extract", "--to-stdout", name])
    }

    /// Unpacks the image; the folder ends with the image.
    pub(super) fn unpack(&self, name: &str) -> PathBuf {
        let root = self.folder.path().join(name);
        fs::create_dir(&root).unwrap();
        self.tar(&["--extract", "--directory", root.to_str().unwrap()]);
        root
    }

    fn tar(&self, arguments: &[&str]) -> String {
        let output = Command::new("tar")
            .arg("--gzip")
            .arg("--file")
            .arg(&self.layer)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "tar {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Entry {
    /// `-rwxr-xr-x 0/0  12345 1970-01-01 00:00:00 usr/bin/program`
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, size, date, time, path] = words[..] else {
            panic!("not a line of tar: {line}");
        };
        Self {
            path: clean(path).to_owned(),
            mode: mode.to_owned(),
            owner: owner.to_owned(),
            size: size.parse().unwrap(),
            modified: format!("{date} {time}"),
        }
    }
}

fn clean(path: &str) -> &str {
    path.trim_start_matches("./").trim_matches('/')
}
