//! The licence texts of everything in the program, as those licences ask. Each text once, with whom it is for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::inputs::{Error, System, read};
use crate::packages::Package;

/// Beginnings of the names of files that a licence asks to be passed on.
const NAMES: &[&str] = &[
    "license",
    "licence",
    "copying",
    "notice",
    "unlicense",
    "copyright",
];

pub(crate) fn notices(made_of: &[Package], systems: &[System]) -> Result<String, Error> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in made_of.iter().filter(|package| !package.is_ours()) {
        let name = format!("{} {}", package.name, package.version);
        let _ = writeln!(list, "{name}: {}", package.licence()?);
        for file in files_of(package)? {
            texts.entry(text(&file)?).or_default().push(name.clone());
        }
    }
    for system in systems {
        let name = format!("{} {}", system.name, system.version);
        let _ = writeln!(list, "{name}: {}", system.licence);
        for file in &system.notices {
            texts.entry(text(file)?).or_default().push(name.clone());
        }
    }
    let mut all = format!("This program contains:\n\n{list}");
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    for (text, names) in texts {
        let rule = "-".repeat(80);
        let _ = write!(all, "\n{rule}\n{}\n{rule}\n\n{text}\n", names.join(", "));
    }
    Ok(all)
}

/// Without what differs between copies of the same text.
fn text(file: &Path) -> Result<String, Error> {
    let text = read(file)?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Ok(lines.join("\n").trim_matches('\n').to_owned())
}

/// Those of a package, and of the sources that it brings along in a folder, as `-sys` crates do.
fn files_of(package: &Package) -> Result<Vec<PathBuf>, Error> {
    let folder = package.folder();
    let mut all = files(&folder)?;
    if package.name.ends_with("-sys") {
        for within in entries(&folder)?.into_iter().filter(|path| path.is_dir()) {
            all.append(&mut files(&within)?);
        }
    }
    Ok(all)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|source| Error::File {
        attempt: "list",
        path: folder.to_owned(),
        source,
    })?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = entries(folder)?;
    files.retain(|path| path.is_file() && is_notice(path));
    Ok(files)
}

fn is_notice(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    NAMES.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_recognized_by_its_name() {
        for name in ["LICENSE-MIT", "COPYING", "Licence.txt", "NOTICE"] {
            assert!(is_notice(Path::new(name)), "{name}");
        }
        assert!(!is_notice(Path::new("README.md")));
    }
}
