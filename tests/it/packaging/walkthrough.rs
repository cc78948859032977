//! The walkthrough, followed word by word: every command of the page in one shell, from an empty cluster to an alert that
//! fires and resolves, and what each prints.
//!
//! The cluster is real but for its node. What a person has on their machine is put before the shell: `kubectl` and `helm`
//! that talk to this cluster, Prometheus and Alertmanager. The page's ports become free ones, and `kubectl port-forward`,
//! for which a node would be needed, is done by the played Service.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testbed::control_plane::ControlPlane;
use testbed::guard::{Guarded, Scratch, command};
use testbed::kubelet::Kubelet;
use testbed::network::Network;
use testbed::service::ServicePort;
use testbed::{packages, ports, sensitive, tools};

use crate::markdown::{Block, blocks};
use crate::repository::{read, root};

const PAGE: &str = "docs/guides/walkthrough.md";
/// As the page calls it.
const NAMESPACE: &str = "hybrid-calendar-operator";
/// Of the emulator's world in the chart.
const SECRET: &str = "demo-secret";
/// Written between two steps; what comes before it is what the step printed.
const MARK: &str = "---- step ";
const DEADLINE: Duration = Duration::from_mins(4);

/// Commands of the page, with what it says that they print.
#[derive(Debug, PartialEq)]
struct Step {
    commands: String,
    prints: String,
}

/// The fenced blocks of a page: `sh` is done, `text` is what the block before it prints.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for Block { language, text } in blocks(page) {
        match (language.as_str(), steps.last_mut()) {
            ("sh", _) => steps.push(Step {
                commands: text,
                prints: String::new(),
            }),
            ("text", Some(step)) => step.prints.push_str(&text),
            _ => {}
        }
    }
    steps
}

/// A `kubectl port-forward` of the page.
struct Forward {
    service: String,
    local: String,
    remote: String,
}

fn forwards(page: &str) -> Vec<Forward> {
    let calls = page
        .lines()
        .filter_map(|line| line.split_once(" port-forward service/"));
    calls
        .map(|(_, words)| {
            let mut words = words.split_whitespace();
            let service = words.next().expect("a Service").to_owned();
            let (local, remote) = words
                .next()
                .and_then(|word| word.split_once(':'))
                .expect("ports");
            Forward {
                service,
                local: local.to_owned(),
                remote: remote.to_owned(),
            }
        })
        .collect()
}

/// How the chart names a port of its Services.
fn port_name(number: &str) -> &'static str {
    match number {
        "9090" => "metrics",
        "8601" => "admin",
        other => panic!("the page forwards port {other}, which has no name here"),
    }
}

/// The machine of the person who follows the page.
struct Machine {
    bin: PathBuf,
    scratch: Scratch,
}

impl Machine {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let bin = scratch.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        Self { bin, scratch }
    }

    /// A program that runs `line` in a shell.
    fn program(&self, name: &str, line: &str) {
        let path = self.bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    async fn furnish(&self, control_plane: &ControlPlane) {
        let kubectl = control_plane.kubectl_path().display();
        // The played Service forwards; this only lasts as long.
        let forwarding = r#"case " $* " in *" port-forward "*) exec sleep 3600 ;; esac"#;
        self.program("kubectl", &format!("{forwarding}\nexec {kubectl} \"$@\""));
        let helm = tools::ready().await.unwrap().helm;
        self.program("helm", &format!("exec {} \"$@\"", helm.display()));
        for name in ["prometheus", "alertmanager"] {
            let path = packages::program(name).await.unwrap();
            self.program(name, &format!("exec {} \"$@\"", path.display()));
        }
    }

    /// Follows a script with bash, as far as it goes. What it printed, and what it complained of.
    async fn follow(&self, kubeconfig: &Path, script: &str) -> (String, String) {
        let [printed, complaints, file] =
            ["printed", "complaints", "script"].map(|name| self.scratch.path().join(name));
        std::fs::write(&file, script).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut bash = command("bash");
        bash.arg(&file)
            .current_dir(root())
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env("HOME", self.scratch.path())
            .env("KUBECONFIG", kubeconfig)
            .env("TMPDIR", self.scratch.path())
            .env("NO_PROXY", "*")
            .stdout(std::fs::File::create(&printed).unwrap())
            .stderr(std::fs::File::create(&complaints).unwrap());
        let mut bash = Guarded::spawn("the walkthrough", bash).unwrap();
        let ended = bash.end(DEADLINE).await;
        let [printed, mut said] =
            [printed, complaints].map(|file| std::fs::read_to_string(file).unwrap());
        writeln!(said, "{ended:?}").unwrap();
        (printed, said)
    }
}

/// All steps in one shell that stops at the first failure.
fn script(steps: &[Step]) -> String {
    let mut script = "set -eu\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        writeln!(script, "{}echo '{MARK}{number}'", step.commands).unwrap();
    }
    script
}

/// The end of what was printed, as long as what the page shows: it leaves out what nobody needs, such as helm's notes.
fn shown(printed: &str, wanted: &str) -> String {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let left_out = lines.len().saturating_sub(wanted.lines().count());
    let mut end = lines[left_out..].join("\n");
    if !end.is_empty() {
        end.push('\n');
    }
    end
}

/// The page with ports that are free here, and the Services that its port-forwards lead to.
fn with_free_ports(control_plane: &ControlPlane) -> (String, Vec<ServicePort>) {
    let mut page = read(PAGE);
    let free = || format!("127.0.0.1:{}", ports::free().unwrap());
    let mut replaced = vec![("19091".to_owned(), free()), ("19093".to_owned(), free())];
    let mut services = Vec::new();
    for forward in forwards(&page) {
        let port = port_name(&forward.remote);
        let service = ServicePort::start(control_plane, NAMESPACE, &forward.service, port).unwrap();
        replaced.push((forward.local, service.address().to_string()));
        services.push(service);
    }
    for (written, free) in replaced {
        let written = format!("127.0.0.1:{written}");
        assert!(page.contains(&written), "{written} is not on the page");
        page = page.replace(&written, &free);
    }
    (page, services)
}

#[tokio::test]
async fn the_walkthrough_leads_word_by_word_from_an_empty_cluster_to_an_alert_that_resolves() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.all_controllers().await.unwrap();
    let network = Network::start(&control_plane).unwrap();
    let node = Kubelet::in_network(&control_plane, NAMESPACE, &network);
    let node = node.await.unwrap();
    sensitive::remember([SECRET.to_owned()]).unwrap();
    let machine = Machine::new();
    machine.furnish(&control_plane).await;
    let (page, _services) = with_free_ports(&control_plane);

    let (kubeconfig, steps) = (control_plane.kubeconfig(), steps(&page));
    let (printed, complaints) = machine.follow(kubeconfig, &script(&steps)).await;
    let mut rest = printed.as_str();
    for (number, Step { commands, prints }) in steps.iter().enumerate() {
        let Some((before, after)) = rest.split_once(&format!("{MARK}{number}\n")) else {
            let all = ["get", "pods,ct,wm", "-A", "-o", "wide"];
            let all = control_plane.kubectl(all).await.unwrap().stdout;
            let all = String::from_utf8_lossy(&all);
            let pods = node.situation();
            panic!("after {rest}\nthis did not end:\n{commands}\n{complaints}\n{all}\n{pods}");
        };
        assert_eq!(&shown(before, prints), prints, "after\n{commands}");
        rest = after;
    }
}

#[test]
fn a_page_is_read_as_a_person_reads_it() {
    let page =
        "```console\n$ no\n```\n```sh\none\n```\nwords\n```text\n1\n```\n```sh\ntwo\nthree\n```\n";
    let step = |commands: &str, prints: &str| Step {
        commands: commands.to_owned(),
        prints: prints.to_owned(),
    };
    assert_eq!(
        steps(page),
        [step("one\n", "1\n"), step("two\nthree\n", "")]
    );
}
