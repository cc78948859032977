//! The rules and the dashboard on real programs: Prometheus scrapes the running operator, Alertmanager tells a webhook.

mod paced;
mod servers;
mod webhook;

use std::time::Duration;

use graph_emulator::world::Mailbox;
use graph_emulator::{FaultRule, Faults, LifecycleEvent, Operation, RetryAfter};
use serde_json::{Value, json};
use testbed::objects::Kind;
use testbed::testbed::Testbed;

use super::alert_rules::rules;
use crate::behaviour::hearing::book;
use crate::behaviour::scene::{
    SECRET, TENANT, contoso, counter, eventually, fault, mailbox_is, only_subscription, patch,
    request, room, secret, start, tenant, tenant_is, with,
};
use crate::repository::read;
use servers::Monitoring;
use webhook::Told;

const DEADLINE: Duration = Duration::from_mins(1);
const ROOM: &str = "room-a@contoso.example";
const OTHER_ROOM: &str = "room-b@contoso.example";

/// What a query adds for the case that there are no series of what it counts.
pub(super) const OR_NONE: &str = " or 0 * max(hybridcalendar_leader == 1)";
/// Panels that count what this scene does not have.
const NONE_HERE: [&str; 2] = ["Tenants that work", "Not known"];

/// A tenant whose credential's end is known, and two rooms: all is well.
async fn healthy() -> Testbed {
    let credential = json!({"clientSecret": {"secretRef": {"name": "credential"}, "notAfter": "2099-01-01T00:00:00Z"}});
    let objects = [
        secret("credential", SECRET),
        with(
            tenant("contoso"),
            json!({"spec": {"credential": credential}}),
        ),
        room("room-a", ROOM),
        room("room-b", OTHER_ROOM),
    ];
    let bed = start(&contoso(), &objects).await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    mailbox_is(&bed, "room-b", "Ready=True/Activated").await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    bed
}

fn take_away(bed: &Testbed) {
    bed.emulator
        .update_world(|world| {
            let mailboxes = &mut world.tenant_mut(TENANT).unwrap().mailboxes;
            mailboxes.retain(|mailbox| mailbox.address != ROOM);
        })
        .unwrap();
}

fn give_back(bed: &Testbed) {
    bed.emulator
        .update_world(|world| {
            let mailboxes = &mut world.tenant_mut(TENANT).unwrap().mailboxes;
            mailboxes.push(Mailbox::room(ROOM));
        })
        .unwrap();
}

#[tokio::test]
async fn one_broken_mailbox_raises_one_alert_that_resolves_and_every_panel_of_the_dashboard_has_data()
 {
    let bed = healthy().await;
    let monitoring = Monitoring::start(&bed).await;
    let began = monitoring.scrapes().await;

    take_away(&bed);
    request(&bed, Kind::Mailbox, "room-a", "broken").await;
    mailbox_is(&bed, "room-a", "MailboxNotFound=True/NotFound").await;
    let fired = monitoring.told(1).await.remove(0);
    assert_is_the_alert(&bed, &fired, "firing");
    let description = fired.annotations["description"].as_str().unwrap();
    assert!(
        description.contains(
            "NotFound: The directory does not know the address. Who acts: Exchange administrator."
        ),
        "{description}"
    );

    give_back(&bed);
    request(&bed, Kind::Mailbox, "room-a", "repaired").await;
    mailbox_is(&bed, "room-a", "Ready=True/Activated").await;
    let told = monitoring.told(2).await;
    assert_is_the_alert(&bed, &told[0], "firing");
    assert_is_the_alert(&bed, &told[1], "resolved");
    assert_eq!(told.len(), 2, "nothing else was told: {told:#?}");
    // What Alertmanager still held back would be here.
    let fired = monitoring.fired_since(began).await;
    assert_eq!(fired, ["HybridCalendarMailboxNotFound"]);

    happen(&bed).await;
    assert_every_panel_has_data(&bed, &monitoring).await;
}

fn assert_is_the_alert(bed: &Testbed, told: &Told, status: &str) {
    let name = "HybridCalendarMailboxNotFound";
    assert_eq!(told.status, status, "{told:#?}");
    let labels = json!({
        "alertname": name,
        "severity": "warning",
        "kind": "WorkspaceMailbox",
        "namespace": bed.namespace,
        "name": "room-a",
        "tenant": format!("{}/contoso", bed.namespace),
    });
    assert_eq!(told.labels, labels);
    let url = told.annotations["runbook_url"].as_str().unwrap();
    assert!(
        url.ends_with("/docs/runbooks/mailbox/MailboxNotFound.md"),
        "{url}"
    );
    let (_, page) = url.split_once("/blob/main/").unwrap();
    read(page);
}

/// Makes everything happen that a panel shows and a quiet day does not have.
async fn happen(bed: &Testbed) {
    let domains = json!({"spec": {"domains": ["contoso.example", "old.example"]}});
    patch(bed, Kind::Tenant, "contoso", &domains).await;
    tenant_is(bed, "contoso", "DomainMismatch=True/DomainNotVerified").await;
    let subscription = only_subscription(bed, OTHER_ROOM);
    bed.emulator
        .send_lifecycle(&subscription.id, LifecycleEvent::Missed)
        .unwrap();
    bed.emulator.set_faults(Faults {
        ..fault(FaultRule {
            operation: Operation::GetCalendar,
            status: Some(429),
            retry_after: Some(RetryAfter::Seconds(1)),
            times: Some(2),
            ..FaultRule::default()
        })
    });
    request(bed, Kind::Mailbox, "room-b", "slowed").await;
    eventually(bed, "Graph made us wait", DEADLINE, async || {
        Ok(counter(bed, "graph_throttled_seconds_total", &[]).await? > 0.0)
    })
    .await;
    bed.emulator.set_faults(fault(FaultRule {
        operation: Operation::GetCalendar,
        status: Some(503),
        times: Some(2),
        ..FaultRule::default()
    }));
    request(bed, Kind::Mailbox, "room-b", "unanswered").await;
    take_away(bed);
    request(bed, Kind::Mailbox, "room-a", "broken again").await;
    mailbox_is(bed, "room-a", "MailboxNotFound=True/NotFound").await;
    eventually(bed, "Graph failed", DEADLINE, async || {
        let failed = [("code", "503")];
        Ok(counter(bed, "graph_requests_total", &failed).await? > 0.0)
    })
    .await;
}

async fn assert_every_panel_has_data(bed: &Testbed, monitoring: &Monitoring) {
    let mut waiting = dashboard_queries();
    let or_none = waiting.iter().filter(|(_, q)| q.contains(OR_NONE)).count();
    assert_eq!(or_none, 8, "what else is none when it has no series?");
    for (panel, query) in &mut waiting {
        // With the zero, a query that finds nothing because it is wrong would have a result, too.
        if !NONE_HERE.contains(&panel.as_str()) {
            *query = query.replace(OR_NONE, "");
        }
    }
    assert!(waiting.len() > 40, "{}", waiting.len());
    let waited = bed
        .wait_until("every query has a result", DEADLINE, async || {
            book(bed, OTHER_ROOM);
            let mut without = Vec::new();
            for (panel, query) in &waiting {
                if !monitoring.has_result(query).await {
                    without.push((panel.clone(), query.clone()));
                }
            }
            waiting = without;
            waiting.is_empty()
        })
        .await;
    assert!(waited.is_ok(), "no result:\n{waiting:#?}");
}

/// Every query of the dashboard with its panel, for all tenants.
pub(super) fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("config/grafana/dashboard.json")).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$namespace", ".*")
                .replace("$tenant", ".*")
                .replace("$__rate_interval", "10s");
            assert!(!query.contains('$'), "{query}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    queries
}

#[test]
fn paced_rules_differ_from_the_shipped_ones_in_durations_alone() {
    let paced = paced::rules();
    let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    for (rule, paced) in rules().iter().zip(&paced) {
        assert_eq!(paced["alert"], rule.alert);
        let expression = paced["expr"].as_str().unwrap();
        let units = |text: &str| {
            without_digits(text)
                .replace("[ms:ms]", "[:]")
                .replace("[d:m]", "[:]")
                .replace("[d]", "[]")
                .replace("ms]", "]")
                .replace("m]", "]")
                .replace("h]", "]")
                .replace("offset ms", "offset")
                .replace("offset w", "offset")
        };
        assert_eq!(units(expression), units(&rule.expr));
    }
    assert_eq!(paced.len(), rules().len());
}
