//! Nothing outlives the program that started it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::control_plane::ControlPlane;
use testbed::guard::{self, Guarded, Scratch};
use testbed::wait;

const CHILD: &str = "guard::in_another_program";
const DEADLINE: Duration = Duration::from_secs(20);

/// Not a test of its own: the program that the next one kills.
#[tokio::test]
#[ignore = "run by the_control_plane_ends_when_its_program_is_killed"]
async fn in_another_program() {
    let control_plane = ControlPlane::start().await.unwrap();
    eprintln!(
        "folder {}",
        control_plane.kubeconfig().parent().unwrap().display()
    );
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_control_plane_ends_when_its_program_is_killed() {
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", CHILD])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("folder ")?.to_owned()))
        .unwrap();
    assert_eq!(processes_naming(&folder), 3, "API server, etcd, sweeper");
    program.kill().unwrap();
    program.wait().unwrap();
    wait::until("all children and files are gone", DEADLINE, async || {
        processes_naming(&folder) == 0 && !Path::new(&folder).exists()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dropped_child_is_gone_with_its_watcher() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_str().unwrap().to_owned();
    let mut command = guard::command("sh");
    command.args(["-c", "while :; do sleep 1; done", &folder]);
    let child = Guarded::spawn("a loop", command).unwrap();
    wait::until("it runs", DEADLINE, async || processes_naming(&folder) >= 2)
        .await
        .unwrap();
    drop(child);
    drop(scratch);
    wait::until("nothing is left", DEADLINE, async || {
        processes_naming(&folder) == 0 && !Path::new(&folder).exists()
    })
    .await
    .unwrap();
}

/// Running processes with `text` in their command line; zombies have none. The shells beside children show their child's.
fn processes_naming(text: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|words| String::from_utf8_lossy(&words).into_owned())
        .filter(|line| line.contains(text) && !line.contains("read -r _ <&3"))
        .count()
}
