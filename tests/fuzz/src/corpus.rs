//! Examples and finds: one file each, in `corpus/NAME`. Keeping a find there makes it a test for ever.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) struct Corpus {
    /// By their names.
    pub(crate) inputs: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    pub(crate) fn read(name: &str) -> Self {
        let folder = folder(name);
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let inputs: BTreeMap<String, Vec<u8>> = entries
            .map(|entry| {
                let path = entry.expect("the folder can be read").path();
                let input = fs::read(&path).expect("the example can be read");
                let name = path.file_name().unwrap_or_default();
                (name.to_string_lossy().into_owned(), input)
            })
            .collect();
        assert!(!inputs.is_empty(), "{} is empty", folder.display());
        Self {
            inputs: inputs.into_iter().collect(),
        }
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(ROOT).join("corpus").join(name)
}

/// Puts a find among the examples; returns its file.
pub(crate) fn keep(name: &str, input: &[u8]) -> PathBuf {
    let mut hash = DefaultHasher::new();
    input.hash(&mut hash);
    let path = folder(name).join(format!("found-{:016x}", hash.finish()));
    fs::write(&path, input).expect("the find can be written");
    path
}

/// The input that is tried just now, in a file: a process that dies of it leaves it behind.
pub(crate) struct Running {
    path: PathBuf,
    file: File,
    left_over: Vec<(String, Vec<u8>)>,
}

impl Running {
    pub(crate) fn begin(name: &str) -> Self {
        let target = std::env::var("CARGO_TARGET_DIR")
            .map_or_else(|_| Path::new(ROOT).join("../../target"), PathBuf::from);
        let folder = target.join("fuzz");
        fs::create_dir_all(&folder).expect("the folder for running inputs can be made");
        let path = folder.join(name);
        let left_over = fs::read(&path).ok().map(|input| {
            eprintln!(
                "{name}: a run ended without an end; its last input is tried first: {}",
                crate::report::hexadecimal(&input)
            );
            ("left over".to_owned(), input)
        });
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let file = options.open(&path).expect("the running input can be kept");
        Self {
            path,
            file,
            left_over: left_over.into_iter().collect(),
        }
    }

    /// What a run left behind that did not come to its end.
    pub(crate) fn left_over(&self) -> &[(String, Vec<u8>)] {
        &self.left_over
    }

    pub(crate) fn note(&self, input: &[u8]) {
        let length = u64::try_from(input.len()).unwrap_or_default();
        let written = self.file.set_len(length);
        written
            .and_then(|()| self.file.write_all_at(input, 0))
            .expect("the running input can be written");
    }

    pub(crate) fn end(&self) {
        // Another run of the same target may have ended before.
        let _ = fs::remove_file(&self.path);
    }
}
