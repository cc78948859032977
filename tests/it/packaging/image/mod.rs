//! The container images: built by buildah from the real Dockerfile, looked at file by file, and started.
//!
//! No registry is reached. The last stages of the Dockerfile are carried out as they are; of the stages before, which
//! need a base image, the tests hold the lines and run the same script on this machine.

mod contained;
mod contents;
mod layout;
mod machine;
mod materials;
mod nameserver;
mod recipe;
mod start;

use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::repository::root;
use layout::Image;

/// What the images are said to be built from; any commit would do.
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// The operator's image, built once.
fn operator() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| pack("operator"))
}

/// The emulator's image, built once.
fn emulator() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| pack("graph-emulator"))
}

fn pack(target: &str) -> Image {
    let folder = TempDir::new().unwrap();
    let output = Command::new(root().join("config/image/pack"))
        .arg(target)
        .arg(folder.path().join("layout"))
        .env("REVISION", REVISION)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "config/image/pack {target}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Image::read(folder)
}
