//! The images for arm64 on a machine of the other kind: compiled by the same script with Debian's cross compiler, packed, and
//! started by an emulator of the processor. That takes a quarter of an hour: `make image-arm64`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::contained::Contained;
use super::layout::Image;
use super::{PACK, pack_with, start};

const PREPARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/arm64");

/// `e_machine` of an ELF file: the processor that it is for.
const AARCH64: [u8; 2] = [183, 0];

fn image(target: &str) -> Image {
    let mut packing = Command::new(PREPARED);
    packing.arg(PACK);
    pack_with(packing, target, &["arm64"])
}

fn processor() -> PathBuf {
    let script = "command -v qemu-aarch64-static";
    let output = Command::new(PREPARED).args(["sh", "-c", script]).output();
    let path = String::from_utf8(output.unwrap().stdout).unwrap();
    fs::canonicalize(path.trim()).unwrap()
}

fn is_for_arm64(image: &Image, program: &str) {
    assert_eq!(image.config["architecture"], "arm64");
    let file = image.unpack("looked-at").join("usr/bin").join(program);
    assert_eq!(fs::read(file).unwrap()[18..20], AARCH64);
    let bill = image.text(&format!("usr/share/doc/{program}/sbom.cdx.json"));
    assert!(bill.contains("aarch64-unknown-linux-gnu") && bill.contains("arch=arm64"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "compiles everything for another architecture: make image-arm64"]
async fn the_operator_for_arm64_serves_a_mailbox_from_its_image() {
    let (image, processor) = (image("operator"), processor());
    is_for_arm64(&image, "hybrid-calendar-operator");
    let contained = Contained::emulated(&image, "version", &processor);
    start::tells_its_version(&contained, "hybrid-calendar-operator");

    let contained = Contained::emulated(&image, "running", &processor);
    let mut bed = start::serving_a_mailbox(&contained).await;
    let ended = bed.operator.terminate().await.unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
#[ignore = "compiles everything for another architecture: make image-arm64"]
async fn the_emulator_for_arm64_serves_its_world_from_its_image() {
    let (image, processor) = (image("graph-emulator"), processor());
    is_for_arm64(&image, "graph-emulator");
    let contained = Contained::emulated(&image, "version", &processor);
    start::tells_its_version(&contained, "graph-emulator");
    start::serves_its_world(&Contained::emulated(&image, "running", &processor)).await;
}
