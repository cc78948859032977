//! The emulator as a program: its flags, what it prints, and how it says what is wrong.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::client::{CLIENT, TENANT, WORLD};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graph-emulator"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// A program that is ended with its test.
struct Running {
    child: Child,
    graph: String,
    admin: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = program(arguments);
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |name: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(name).unwrap().to_owned()
        };
        let (graph, admin) = (line("graph="), line("admin="));
        Self {
            child,
            graph,
            admin,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The object id of a room, over HTTPS.
async fn room_id(running: &Running, ca: &std::path::Path) -> Value {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
    let http = http.build().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_secret", "demo-secret"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let url = format!("{}{TENANT}/oauth2/v2.0/token", running.graph);
    let reply = http.post(url).form(&form).send().await.unwrap();
    let token: Value = reply.json().await.unwrap();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let url = format!("{}v1.0/users/room-a@contoso.example", running.graph);
    let reply = http.get(url).bearer_auth(token).send().await.unwrap();
    let mut room: Value = reply.json().await.unwrap();
    room["id"].take()
}

#[tokio::test]
async fn the_program_says_where_it_listens_and_a_seed_fixes_the_ids() {
    let directory = tempfile::tempdir().unwrap();
    let world = directory.path().join("world.yaml");
    std::fs::write(&world, WORLD).unwrap();
    let (world, tls) = (world.to_str().unwrap(), directory.path().join("tls"));
    let ca = tls.join("ca.crt");
    let tls = ["--tls-dir", tls.to_str().unwrap()];
    let mut ids = Vec::new();
    for seed in ["7", "7", "8"] {
        let running = Running::start(&[&["--world", world, "--seed", seed], &tls[..]].concat());
        assert!(running.graph.starts_with("https://127.0.0.1:"));
        assert!(running.admin.starts_with("http://127.0.0.1:"));
        ids.push(room_id(&running, &ca).await);
    }
    assert!(ids[0].is_string());
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[test]
fn the_program_names_what_is_wrong_and_where() {
    let directory = tempfile::tempdir().unwrap();
    let world = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = world("good.yaml", WORLD);
    let unknown = world("unknown.yaml", "tenants: [{id: x, mailbox: []}]");
    let nonsense = world("nonsense.yaml", "tenants: [{id: x}]");
    let rows: &[(&[&str], &[&str])] = &[
        (
            &["--world", "/does/not/exist"],
            &["/does/not/exist", "No such file"],
        ),
        (
            &["--world", &unknown],
            &[
                "unknown.yaml",
                "tenants[0]",
                "unknown field `mailbox`",
                "`mailboxes`",
                "line 1",
            ],
        ),
        (
            &["--world", &nonsense],
            &["nonsense.yaml", "tenants[0].id", "is not a GUID; write"],
        ),
        (
            &["--world", &good, "--trust-ca", &good],
            &["good.yaml", "no certificate in PEM"],
        ),
        (
            &["--world", &good, "--listen", "nowhere"],
            &["--listen", "nowhere"],
        ),
        (&[], &["--world"]),
    ];
    for (arguments, expected) in rows {
        let Output { status, stderr, .. } = program(arguments).output().unwrap();
        let text = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "{arguments:?}");
        for part in *expected {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    }
}
