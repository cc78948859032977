//! A program of an image, ready to be started in it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::layout::Image;
use crate::repository::root;

/// An image, unpacked to be started once.
#[derive(Debug)]
pub(super) struct Contained {
    folder: PathBuf,
    config: Value,
    /// The program that runs the image's.
    through: Option<String>,
}

impl Contained {
    /// `name` tells starts of the same image apart.
    pub(super) fn new(image: &Image, name: &str) -> Self {
        Self {
            folder: image.unpack(name),
            config: image.config["config"].clone(),
            through: None,
        }
    }

    /// For a program of another architecture: `processor` is a static program that runs it.
    pub(super) fn emulated(image: &Image, name: &str, processor: &Path) -> Self {
        let contained = Self::new(image, name);
        fs::copy(processor, contained.folder.join("processor")).unwrap();
        Self {
            through: Some("/processor".to_owned()),
            ..contained
        }
    }

    /// Adds to a file of the image, as somebody does who mounts another one over it.
    pub(super) fn append(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The entry point as the image's user; arguments follow.
    pub(super) fn entrypoint(&self) -> Vec<String> {
        let script = root().join("tests/it/packaging/image/contained.sh");
        let user = self.config["User"].as_str().unwrap().to_owned();
        let mut words = vec![utf8(&script), utf8(&self.folder), user];
        words.extend(self.through.clone());
        let entrypoint = self.config["Entrypoint"].as_array().unwrap();
        words.extend(
            entrypoint
                .iter()
                .map(|word| word.as_str().unwrap().to_owned()),
        );
        words
    }

    /// The same as a command, with the environment that the image sets and no other.
    pub(super) fn command(&self) -> Command {
        let words = self.entrypoint();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for variable in self.config["Env"].as_array().into_iter().flatten() {
            let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
            if name != "PATH" {
                command.env(name, value);
            }
        }
        command
    }
}

/// What the kernel says of a process, by the names in `/proc/PID/status`.
pub(super) fn status(process: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let start = format!("{name}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().trim().to_owned()
}

fn utf8(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
