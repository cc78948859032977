//! The container images: built by buildah from the real Dockerfile, looked at file by file, and started.
//!
//! No registry is reached. The last stages of the Dockerfile are carried out as they are; of the stages before, which
//! need a base image, the tests hold the lines and run the same script on this machine.

mod arm64;
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

use layout::Image;

const PACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/image/pack");

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
    pack_with(Command::new(PACK), target, &[])
}

/// `more` are arguments that follow target and folder.
fn pack_with(mut packing: Command, target: &str, more: &[&str]) -> Image {
    let folder = TempDir::new().unwrap();
    let output = packing
        .arg(target)
        .arg(folder.path().join("layout"))
        .args(more)
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
