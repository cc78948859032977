//! Prometheus and Alertmanager as processes that never outlive the test.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use testbed::guard::{self, Guarded, Scratch};
use testbed::testbed::Testbed;
use testbed::{packages, ports, wait};
use tokio::time::Instant;

use super::webhook::{Told, Webhook};
use super::{DEADLINE, paced};

/// Both, and who is told.
pub(super) struct Monitoring {
    url: String,
    client: reqwest::Client,
    webhook: Webhook,
    _prometheus: Guarded,
    _alertmanager: Guarded,
    folder: Scratch,
}

impl Monitoring {
    /// Scrapes the operator twice a second.
    pub(super) async fn start(bed: &Testbed) -> Self {
        let folder = Scratch::new().unwrap();
        let webhook = Webhook::listen().await;
        let (port, manager_port) = (ports::free().unwrap(), ports::free().unwrap());
        let (_, target) = bed.operator.admin_url().split_once("//").map(own).unwrap();
        write(&folder, "rules.yaml", &paced::file());
        write(&folder, "alertmanager.yaml", &alertmanager(&webhook.url));
        write(
            &folder,
            "prometheus.yaml",
            &prometheus(&target, manager_port),
        );
        let alertmanager = spawn(
            "alertmanager",
            &folder,
            &[
                "--config.file=alertmanager.yaml".to_owned(),
                "--storage.path=alertmanager".to_owned(),
                format!("--web.listen-address=127.0.0.1:{manager_port}"),
                // No other Alertmanager is looked for.
                "--cluster.listen-address=".to_owned(),
            ],
        )
        .await;
        let prometheus = spawn(
            "prometheus",
            &folder,
            &[
                "--config.file=prometheus.yaml".to_owned(),
                "--storage.tsdb.path=prometheus".to_owned(),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ],
        )
        .await;
        Self {
            url: format!("http://127.0.0.1:{port}"),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            webhook,
            _prometheus: prometheus,
            _alertmanager: alertmanager,
            folder,
        }
    }

    /// Waits until the operator's metrics are there, and the alert that they were not is over; from when on.
    pub(super) async fn scrapes(&self) -> Instant {
        let waited = wait::until("the operator is scraped", DEADLINE, async || {
            self.has_result("hybridcalendar_leader == 1 unless on () ALERTS")
                .await
        });
        let waited = waited.await;
        assert!(waited.is_ok(), "{}", self.logs());
        Instant::now()
    }

    /// Waits until so many alerts were told, and returns all.
    pub(super) async fn told(&self, count: usize) -> Vec<Told> {
        let waited = wait::until("alerts are told", DEADLINE, async || {
            self.webhook.heard().len() >= count
        });
        let waited = waited.await;
        let heard = self.webhook.heard();
        assert!(waited.is_ok(), "{heard:#?}\n{}", self.logs());
        heard
    }

    /// Names of the alerts that fired at any time since then.
    pub(super) async fn fired_since(&self, then: Instant) -> Vec<String> {
        let window = then.elapsed().as_millis();
        let query = format!(
            "count by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\"}}[{window}ms]))"
        );
        let url = format!("{}/api/v1/query", self.url);
        let request = self.client.post(url).form(&[("query", &query)]);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        let name = |series: &Value| series["metric"]["alertname"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = series.iter().map(name).collect();
        names.sort();
        names
    }

    /// Whether a query has a value now that is a number.
    pub(super) async fn has_result(&self, query: &str) -> bool {
        let url = format!("{}/api/v1/query", self.url);
        let request = self.client.post(url).form(&[("query", query)]);
        let Ok(answer) = request.send().await else {
            return false;
        };
        // While it starts it says so in plain text.
        let Ok(answer) = answer.json::<Value>().await else {
            return false;
        };
        assert_ne!(answer["errorType"], "bad_data", "{query}: {answer}");
        let found = answer["data"]["result"].as_array();
        let is_number = |sample: &Value| sample["value"][1] != "NaN";
        found.is_some_and(|samples| samples.iter().any(is_number))
    }

    fn logs(&self) -> String {
        ["prometheus.log", "alertmanager.log"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .join("\n")
    }
}

fn own((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

fn write(folder: &Scratch, name: &str, content: &str) {
    std::fs::write(folder.path().join(name), content).unwrap();
}

async fn spawn(program: &str, folder: &Scratch, arguments: &[String]) -> Guarded {
    let mut command = guard::command(packages::program(program).await.unwrap());
    let log = log(folder.path(), program);
    command
        .args(arguments)
        .arg("--log.level=warn")
        .current_dir(folder.path())
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(log);
    Guarded::spawn(program, command).unwrap()
}

fn log(folder: &Path, program: &str) -> File {
    File::create(folder.join(format!("{program}.log"))).unwrap()
}

fn prometheus(target: &str, alertmanager: u16) -> String {
    let targets = |address: String| json!([{"targets": [address]}]);
    json!({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": targets(format!("127.0.0.1:{alertmanager}"))}]},
        "scrape_configs": [{
            "job_name": "hybrid-calendar-operator",
            "honor_labels": true,
            "static_configs": targets(target.to_owned()),
        }],
    })
    .to_string()
}

/// One message for each alert, at once.
fn alertmanager(webhook: &str) -> String {
    json!({
        "route": {
            "receiver": "test", "group_by": ["..."],
            "group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1h",
        },
        "receivers": [{"name": "test", "webhook_configs": [{"url": webhook, "send_resolved": true}]}],
    })
    .to_string()
}
