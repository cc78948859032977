//! Notifications at an operator that has one core: genuine ones, forged ones and lifecycle events at a steady rate, and
//! handshakes beside them. Rates ascend until it cannot keep up. Then the same through TLS.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::error::{Attempt as _, Error};
use testbed::guard::Scratch;
use testbed::operator::OperatorProcess;
use testbed::{packages, programs};
use tokio::process::Command;

use super::cold::{Turn, all_ready, count};
use crate::contender::{Contender, Running};
use crate::ground::Ground;
use crate::microsoft::{Microsoft, Subscription};
use crate::options::Trial;
use crate::process::{self, Usage};
use crate::report::Results;
use crate::section::{Measure, Section, Unit, measure};
use crate::sending::{Outcome, Plan, Post};
use crate::world::World;

/// What came of the rate.
pub static ANSWERED: Measure = measure("answered with 202 a second", Unit::Count);
/// Half of the answers.
pub static P50: Measure = measure("p50", Unit::Milliseconds);
/// Of a hundred 99.
pub static P99: Measure = measure("p99", Unit::Milliseconds);
/// Of a thousand 999.
pub static P999: Measure = measure("p99.9", Unit::Milliseconds);
/// Half of the handshakes meanwhile.
pub static HANDSHAKE_P50: Measure = measure("handshake, p50", Unit::Milliseconds);
/// Of a hundred handshakes 99.
pub static HANDSHAKE_P99: Measure = measure("handshake, p99", Unit::Milliseconds);
/// Processor time of the whole operator.
pub static PROCESSOR: Measure =
    measure("processor time per 1,000 notifications", Unit::Milliseconds);
/// How much of its core the operator used.
pub static OPERATOR_SHARE: Measure = measure("the operator's share of its core", Unit::Each);
/// How many cores sending took: near one, the sender is the limit.
pub static SENDER_SHARE: Measure = measure("cores that sending took", Unit::Each);
/// Answers that should have been different.
pub static OTHERWISE: Measure = measure("other answers", Unit::Count);

/// Of a hundred notifications so many are forged, and one is a lifecycle event.
const FORGED: usize = 9;
/// So many different notifications are sent again and again.
const PLANNED: usize = 10_000;
/// Handshakes a second, beside the notifications.
const HANDSHAKES: u32 = 20;
/// Above, a rate counts as one that the receiver cannot keep up with; in milliseconds.
const LONGEST_P99: f64 = 100.0;
/// At least so much of a rate must be answered while it lasts.
const KEPT_UP: f64 = 0.98;

/// One round.
pub async fn round(ground: &Ground, trial: Trial<'_>, results: &mut Results) -> Result<(), Error> {
    let world = World::spread(trial.mailboxes, trial.tenants);
    let microsoft = Microsoft::start(&world, trial.latency()).await?;
    let place = ground
        .place(Contender::Operator, &world, &microsoft)
        .await?;
    let cores = Cores::new().await?;
    let mut options = Ground::as_installed(&place, &microsoft, trial);
    let operator = programs::path("hybrid-calendar-operator").await?;
    options.program = cores.confined(&cores.one, &operator);
    let turn = Turn::of_operator((ground, &microsoft), trial, &place);
    let operator = OperatorProcess::spawn(options).await?;
    let mut running = Running::Operator(Box::new(operator));
    all_ready(turn, &mut running, &crate::microsoft::Calls::default()).await?;
    let Running::Operator(mut operator) = running else {
        return Ok(());
    };
    let scratch = Scratch::new()?;
    let plan = serde_json::to_string(&plan(&microsoft.subscriptions().await?));
    let plan = plan.map_err(|error| Error::Document {
        what: "what is to be sent".to_owned(),
        message: error.to_string(),
    })?;
    std::fs::write(scratch.path().join("plan.json"), plan).attempt("write what is to be sent")?;
    let sender = Sender {
        cores,
        folder: scratch.path(),
        trial,
    };
    sender
        .ascend(&operator, Wire::Plain, &mut results.receiver)
        .await?;
    certificate(scratch.path())?;
    let mut options = operator.options().clone();
    let folder = scratch.path().display();
    options
        .arguments
        .push(format!("--receiver-tls-dir={folder}"));
    operator.terminate().await?;
    operator.restart_with(options).await?;
    sender
        .ascend(&operator, Wire::Tls, &mut results.receiver_tls)
        .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Plain,
    Tls,
}

/// The processors of this machine: one for the operator, the others for who sends.
struct Cores {
    taskset: String,
    one: String,
    others: String,
}

impl Cores {
    async fn new() -> Result<Self, Error> {
        let taskset = packages::program("taskset").await?;
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        if all < 2 {
            return Err(Error::Document {
                what: "the number of cores".to_owned(),
                message: "the receiver gets one for itself, so that there must be two".to_owned(),
            });
        }
        Ok(Self {
            taskset: taskset.display().to_string(),
            one: (all - 1).to_string(),
            others: format!("0-{}", all - 2),
        })
    }

    /// Words that start a program on some of them.
    fn confined(&self, which: &str, program: &Path) -> Vec<String> {
        let words = [
            &self.taskset,
            "--cpu-list",
            which,
            &program.display().to_string(),
        ];
        words.map(str::to_owned).to_vec()
    }
}

struct Sender<'a> {
    cores: Cores,
    folder: &'a Path,
    trial: Trial<'a>,
}

impl Sender<'_> {
    /// One rate after the other, until one is too much.
    async fn ascend(
        &self,
        operator: &OperatorProcess,
        wire: Wire,
        section: &mut Section,
    ) -> Result<(), Error> {
        for rate in &self.trial.rates {
            process::rest(operator.id(), Duration::ZERO).await?;
            let before = Usage::of(operator.id())?.cpu;
            let outcome = self.send(operator, wire, *rate).await?;
            let used = Usage::of(operator.id())?.cpu.saturating_sub(before);
            if !told(section, *rate, &outcome, used) {
                break;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        operator: &OperatorProcess,
        wire: Wire,
        rate: u32,
    ) -> Result<Outcome, Error> {
        let to = operator.options().receiver_listen;
        let to = to.map(|address| address.to_string()).unwrap_or_default();
        let sender = programs::path("sender").await?;
        let words = self.cores.confined(&self.cores.others, &sender);
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["--to", &to])
            .arg("--plan")
            .arg(self.folder.join("plan.json"))
            .arg(format!("--rate={rate}"))
            .arg(format!("--seconds={}", self.trial.burst))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if wire == Wire::Tls {
            command.arg("--ca").arg(self.folder.join("tls.crt"));
        }
        said(&command.output().await.attempt("run the sender")?)
    }
}

fn said(output: &Output) -> Result<Outcome, Error> {
    serde_json::from_slice(&output.stdout).map_err(|error| Error::Program {
        program: format!("the sender ({})", output.status),
        output: format!("{error}: {}", String::from_utf8_lossy(&output.stderr)),
    })
}

/// Writes down what came of a rate; whether the receiver kept up.
fn told(section: &mut Section, rate: u32, outcome: &Outcome, used: Duration) -> bool {
    let mut column = section.of(format!("{rate}/s"));
    let (notifications, handshakes) = (&outcome.notifications, &outcome.handshakes);
    let answered = count(notifications.answered);
    let a_second = answered / outcome.seconds;
    let used = used.as_secs_f64();
    column.put(&ANSWERED, a_second);
    column.put(&P50, notifications.p50);
    column.put(&P99, notifications.p99);
    column.put(&P999, notifications.p999);
    column.put(&HANDSHAKE_P50, handshakes.p50);
    column.put(&HANDSHAKE_P99, handshakes.p99);
    column.put(&PROCESSOR, used * 1_000_000.0 / answered);
    column.put(&OPERATOR_SHARE, used / outcome.seconds);
    column.put(&SENDER_SHARE, outcome.processor_seconds / outcome.seconds);
    let otherwise = notifications.otherwise + handshakes.otherwise;
    column.put(&OTHERWISE, count(otherwise));
    notifications.p99 < LONGEST_P99 && a_second >= KEPT_UP * f64::from(rate)
}

/// Notifications as Graph sends them, one in a request; each mailbox in turn.
fn plan(subscriptions: &[Subscription]) -> Plan {
    let others = subscriptions.iter().cycle().skip(1);
    let pairs = subscriptions.iter().zip(others);
    let passes = (0..).flat_map(|pass| pairs.clone().map(move |pair| (pass, pair)));
    let notifications = (0..PLANNED)
        .zip(passes)
        .map(|(number, (pass, (one, other)))| {
            // Another mailbox gets the lifecycle event in each pass.
            match (number + pass) % 100 {
                0 => post(&one.lifecycle_notification_url, &lifecycle(one)),
                1..=FORGED => post(&one.notification_url, &change(one, &other.client_state)),
                _ => post(&one.notification_url, &change(one, &one.client_state)),
            }
        });
    let first = subscriptions.first();
    let path = first.map(|one| path(&one.notification_url));
    Plan {
        notifications: notifications.collect(),
        handshake: Post {
            path: format!(
                "{}?validationToken={}",
                path.unwrap_or_default(),
                "Validation%3a+Testing+client+application+reachability+".repeat(3)
            ),
            body: String::new(),
            expected: 200,
        },
        handshakes: HANDSHAKES,
    }
}

fn change(subscription: &Subscription, client_state: &str) -> Value {
    let resource = format!("{}/AAMkAGI1AAAt9AHjAAA=", subscription.resource);
    json!({"value": [{
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": subscription.expiration_date_time,
        "clientState": client_state,
        "changeType": "updated",
        "tenantId": subscription.tenant,
        "resource": resource,
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Event",
            "@odata.id": resource,
            "@odata.etag": "W/\"DwAAABYAAADkrkqoPBYQTqUEHdWmQ2uSAAQ4Sz0k\"",
            "id": "AAMkAGI1AAAt9AHjAAA=",
        },
    }]})
}

fn lifecycle(subscription: &Subscription) -> Value {
    json!({"value": [{
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": subscription.expiration_date_time,
        "tenantId": subscription.tenant,
        "clientState": subscription.client_state,
        "lifecycleEvent": "missed",
    }]})
}

fn post(url: &str, body: &Value) -> Post {
    Post {
        path: path(url).to_owned(),
        body: body.to_string(),
        expected: 202,
    }
}

/// What follows scheme and host in a URL.
fn path(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.find('/').map_or("/", |at| &host[at..])
}

/// A certificate for this machine that nobody else signed.
fn certificate(folder: &Path) -> Result<(), Error> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let made = made.map_err(|error| Error::Document {
        what: "the receiver's certificate".to_owned(),
        message: error.to_string(),
    })?;
    for (name, pem) in [
        ("tls.crt", made.cert.pem()),
        ("tls.key", made.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), pem).attempt(format!("write {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(number: u32) -> Subscription {
        let url = |kind| format!("http://127.0.0.1:9/v1/{kind}/i/n/{number}");
        Subscription {
            id: number.to_string(),
            tenant: "tenant".to_owned(),
            resource: format!("users/{number}/events"),
            notification_url: url("notifications"),
            lifecycle_notification_url: url("lifecycle"),
            client_state: format!("state-{number}"),
            expiration_date_time: "2026-11-26T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn of_a_hundred_notifications_nine_are_forged_and_one_is_a_lifecycle_event() {
        let subscriptions: Vec<Subscription> = (1..=200).map(subscription).collect();
        let plan = plan(&subscriptions);
        let genuine = |post: &&Post| {
            let number = post.path.rsplit('/').next().unwrap_or_default();
            post.body.contains(&format!("\"state-{number}\""))
        };
        let hundred = &plan.notifications[..100];
        assert_eq!(hundred.iter().filter(genuine).count(), 91);
        let lifecycle = |post: &&Post| post.path.starts_with("/v1/lifecycle/i/n/");
        assert_eq!(hundred.iter().filter(lifecycle).count(), 1);
        assert!(plan.handshake.path.starts_with("/v1/notifications/i/n/1?"));
    }
}
