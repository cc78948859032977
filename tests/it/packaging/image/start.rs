//! The images started: each in a file system of its own, as its own user, read-only.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use graph_emulator::{Options, World};
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::objects::Kind;
use testbed::testbed::{Testbed, start_emulator_with};

use super::contained::{Contained, status};
use super::{emulator, nameserver, operator};

const DEADLINE: Duration = Duration::from_mins(1);
const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
const CLIENT: &str = "5f1d7a9c-2222-4000-8000-000000000001";
const SECRET: &str = "image-client-secret";

fn world() -> World {
    let organization = json!({"tenants": [{
        "id": TENANT, "displayName": "Contoso",
        "domains": [{"name": "contoso.example", "default": true}],
        "applications": [{
            "clientId": CLIENT, "secrets": [{"value": SECRET}],
            "roles": ["User.Read.All", "Calendars.Read", "Place.Read.All", "Domain.Read.All"],
        }],
        "mailboxes": [{"address": "room-a@contoso.example", "type": "room"}],
    }]});
    World::from_yaml(&organization.to_string()).unwrap()
}

fn manifests(endpoint: &str) -> String {
    let group = "hybridcalendar.dev/v1alpha1";
    let documents: [Value; 3] = [
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"client-secret": SECRET},
            "metadata": {"name": "credential", "labels": {"hybridcalendar.dev/credential": "true"}}}),
        json!({"apiVersion": group, "kind": "CalendarTenant", "metadata": {"name": "contoso"}, "spec": {
            "tenantId": TENANT, "clientId": CLIENT, "endpoints": {"login": endpoint, "graph": endpoint},
            "credential": {"clientSecret": {"secretRef": {"name": "credential"}}}}}),
        json!({"apiVersion": group, "kind": "WorkspaceMailbox", "metadata": {"name": "room-a"}, "spec": {
            "tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"}}),
    ];
    documents
        .map(|document| document.to_string())
        .join("\n---\n")
}

#[test]
fn each_image_tells_its_version() {
    for (image, program) in [
        (operator(), "hybrid-calendar-operator"),
        (emulator(), "graph-emulator"),
    ] {
        tells_its_version(&Contained::new(image, "version"), program);
    }
}

pub(super) fn tells_its_version(contained: &Contained, program: &str) {
    let output = contained.command().arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said, expected, "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_works_from_its_image_with_a_root_that_is_read_only() {
    let contained = Contained::new(operator(), "running");
    let mut bed = serving_a_mailbox(&contained).await;
    runs_alone_and_without_rights(bed.operator.id());
    let ended = bed.operator.terminate().await.unwrap();
    assert!(ended.success(), "{ended}");
}

/// An operator that has come to serve a mailbox. What the image itself has to bring for that: certificates that the program
/// finds, and names that it can resolve without a library to load. The API server is known by DNS, Microsoft by
/// `/etc/hosts` and by a certificate in the image's bundle.
pub(super) async fn serving_a_mailbox(contained: &Contained) -> Testbed {
    let certificates = TempDir::new().unwrap();
    let options = Options {
        tls_dir: Some(certificates.path().to_owned()),
        ..Options::default()
    };
    let microsoft = start_emulator_with(world(), options).await.unwrap();
    let port = microsoft.base_url().rsplit(':').next().unwrap().to_owned();
    let endpoint = format!("https://localhost:{}", port.trim_end_matches('/'));

    let authority = fs::read_to_string(certificates.path().join("ca.crt")).unwrap();
    contained.append("etc/ssl/certs/ca-certificates.crt", &authority);
    give_names(contained);

    let bed = Testbed::start_against(microsoft, |options| {
        options.program = contained.entrypoint();
        options.allowed_endpoints = vec![endpoint.clone()];
        let name = ("API_SERVER_NAME".to_owned(), nameserver::NAME.to_owned());
        options.environment.push(name);
    })
    .await
    .unwrap();
    bed.apply(&manifests(&endpoint)).await.unwrap();
    let ready = bed.wait_condition(Kind::Mailbox, "room-a", "Ready=True/Activated", DEADLINE);
    ready.await.unwrap();
    bed
}

/// What a pod gets from its node: a hosts file and the address of a name server.
fn give_names(contained: &Contained) {
    contained.append("etc/hosts", "127.0.0.1 localhost\n");
    if let Some(address) = nameserver::start() {
        contained.append("etc/resolv.conf", &format!("nameserver {address}\n"));
    } else {
        let name = nameserver::NAME;
        // Straight to standard error: the test harness would hold back what eprintln! writes.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TRIED: DNS from the operator's image. Resolvers ask port 53, where only root may listen. Run the tests \
             as root, or allow it: sysctl net.ipv4.ip_unprivileged_port_start=53. {name} is in /etc/hosts instead."
        );
        contained.append("etc/hosts", &format!("127.0.0.1 {name}\n"));
    }
}

fn runs_alone_and_without_rights(process: u32) {
    let of = |file: &str| Path::new("/proc").join(process.to_string()).join(file);
    let program = fs::read_link(of("exe")).unwrap();
    assert!(program.ends_with("usr/bin/hybrid-calendar-operator"));
    let maps = fs::read_to_string(of("maps")).unwrap();
    assert!(!maps.contains(".so"), "it loaded a library:\n{maps}");
    let mounts = fs::read_to_string(of("mountinfo")).unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    let options = root.unwrap().split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{options}");
    let users = fs::read_to_string(of("uid_map")).unwrap();
    assert_eq!(users.split_whitespace().next(), Some("65532"), "{users}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(process, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(process, "NoNewPrivs"), "1");
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_emulator_serves_the_example_world_of_its_image() {
    serves_its_world(&Contained::new(emulator(), "running")).await;
}

pub(super) async fn serves_its_world(contained: &Contained) {
    let mut command = contained.command();
    command
        .env("GRAPH_EMULATOR_LISTEN", "127.0.0.1:0")
        .env("GRAPH_EMULATOR_ADMIN", "127.0.0.1:0")
        .stdout(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let output = running.0.stdout.take().unwrap();
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut urls = lines.filter_map(|line| Some(line.strip_prefix("admin=")?.to_owned()));
    let url = urls
        .next()
        .expect("the emulator tells where its admin port is");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| client.get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(get("readyz").await.status(), 200);
    let served = get("world").await.text().await.unwrap();
    assert!(served.contains("room-a@contoso.example"), "{served}");
}
