//! The files of this repository, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What cargo shows of the dependency graph, flat and with every crate each time that it is needed.
pub(crate) fn cargo_tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix=none", "--no-dedupe"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file's text, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Paths from the root of all files under a folder with one of these endings; build output is left out.
pub(crate) fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    let mut paths: Vec<String> = found
        .iter()
        .filter_map(|path| path.strip_prefix(root()).ok()?.to_str().map(str::to_owned))
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        .collect();
    paths.sort();
    paths
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let skipped = ["target", "node_modules", ".git"]
            .iter()
            .any(|s| *s == name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !skipped => collect(&path, found),
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Compares a generated file with what the code generates; with `UPDATE=1` it is rewritten instead.
pub(crate) fn assert_generated(path: &str, content: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        return;
    }
    let present = fs::read_to_string(&file).unwrap_or_default();
    let differs = present
        .lines()
        .zip(content.lines())
        .position(|(left, right)| left != right)
        .unwrap_or_else(|| present.lines().count().min(content.lines().count()));
    assert!(
        present == content,
        "{path} is not what the code generates (first difference in line {}): \
         run make generate",
        differs + 1
    );
}
