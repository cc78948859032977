//! What a scrape says of a world.

use allocation_counter::measure;
use serde_json::{Value, json};

use super::*;
use crate::api::v1alpha1::time::Time;
use crate::controller::stage::{Stage, room, start, tenant};
use crate::domain::records::{MailboxRecord, TenantRecord};
use crate::domain::schedule::later;
use crate::metrics::Metrics;
use crate::metrics::described::{RENEWAL_MARGIN, RENEWAL_SLACK, SUBSCRIPTIONS};

const TENANT_NAME: &str = "calendars/contoso";

/// What a scrape of these objects says.
fn scraped(tenant: &TenantRecord, mailboxes: &[MailboxRecord]) -> Series {
    let stage = Stage::new();
    let context = stage.context();
    context.tenant_present(tenant);
    for mailbox in mailboxes {
        context.mailbox_present(mailbox.clone());
    }
    let mut world = context.world();
    let entry = world.store.tenant_mut(&tenant.key).unwrap();
    entry.known.token = TokenState::Issued;
    let now = later(start(), Duration::from_hours(3));
    let mut series = Series::default();
    describe(&world, (now, MetricsDetail::Object), &mut series);
    series
}

fn value(series: &Series, family: &WorldGauge, labels: &[&str]) -> Option<f64> {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    series.0.get(family.name)?.get(&labels).copied()
}

/// A room with these conditions, written `Type=Status/Reason`, and a subscription from the start for 10 hours.
fn subscribed(number: u8, conditions: &[&str]) -> MailboxRecord {
    let condition = |text: &&str| {
        let (type_, rest) = text.split_once('=').unwrap();
        let (status, reason) = rest.split_once('/').unwrap();
        json!({
            "type": type_, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-11-24T08:00:00Z",
        })
    };
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    let mut record = room(number);
    record.status = serde_json::from_value(json!({
        "conditions": conditions,
        "subscription": {
            "id": "7f1d7a9c-1111-4000-8000-000000000001",
            "ownerUid": record.uid.to_string(), "endpointHash": "0", "keyId": 1,
            "grantedAt": "2026-11-24T08:00:00Z",
            "renewAt": "2026-11-24T14:00:00Z",
            "expiresAt": "2026-11-24T18:00:00Z",
        },
    }))
    .unwrap();
    record
}

#[tokio::test]
async fn what_rests_has_no_problem_and_misses_nothing() {
    let problems = ["Ready=Unknown/Suspended", "MailboxNotFound=True/NotFound"];
    let mut resting = subscribed(2, &problems);
    resting.spec.suspend = true;
    let mut without = resting.clone();
    without.key = ObjectKey::new("calendars", "without");
    without.status.subscription = None;
    let series = scraped(&tenant(1), &[resting, without]);
    let kind = Kind::WorkspaceMailbox.as_str();
    let ready = [kind, TENANT_NAME, "Ready", "Unknown", "Suspended"];
    assert_eq!(value(&series, &CONDITIONS, &ready), Some(2.0));
    let problem = [kind, TENANT_NAME, "MailboxNotFound", "True", "NotFound"];
    assert_eq!(value(&series, &CONDITIONS, &problem), None);
    assert_eq!(
        value(&series, &SUBSCRIPTIONS, &[TENANT_NAME, "active"]),
        Some(1.0)
    );
    assert_eq!(
        value(&series, &SUBSCRIPTIONS, &[TENANT_NAME, "inactive"]),
        None
    );
    assert_eq!(value(&series, &RENEWAL_MARGIN, &[TENANT_NAME]), None);
    assert_eq!(value(&series, &CHECK_OVERDUE, &[TENANT_NAME, kind]), None);
}

#[tokio::test]
async fn a_margin_is_the_least_share_of_a_life_that_is_left() {
    let mut newer = subscribed(2, &[]);
    let subscription = newer.status.subscription.as_mut().unwrap();
    subscription.granted_at = Time::from(later(start(), Duration::from_hours(2)));
    let series = scraped(&tenant(1), &[newer, subscribed(3, &[])]);
    assert_eq!(value(&series, &RENEWAL_MARGIN, &[TENANT_NAME]), Some(0.7));
}

#[tokio::test]
async fn a_mailbox_with_a_problem_of_its_own_does_not_make_the_tenants_time_short() {
    let refused = subscribed(2, &["Unauthorized=True/AccessPolicyDenied"]);
    let series = scraped(&tenant(1), &[refused]);
    assert_eq!(value(&series, &RENEWAL_MARGIN, &[TENANT_NAME]), None);
    assert_eq!(value(&series, &RENEWAL_SLACK, &[TENANT_NAME]), None);
}

#[tokio::test]
async fn the_subscription_of_a_deleted_mailbox_is_pending_until_it_is_removed() {
    let stage = Stage::new();
    let context = stage.context();
    context.tenant_present(&tenant(1));
    context.mailbox_present(subscribed(2, &[]));
    let pending = || {
        let mut series = Series::default();
        let detail = MetricsDetail::Object;
        describe(&context.world(), (start(), detail), &mut series);
        value(&series, &REMOVALS_PENDING, &[TENANT_NAME])
    };
    assert_eq!(pending(), Some(0.0));
    context.mailbox_gone(&room(2).key);
    assert_eq!(pending(), Some(1.0));
    context.world().removals.clear();
    assert_eq!(pending(), Some(0.0));
}

#[tokio::test]
async fn a_check_is_overdue_when_its_interval_has_passed() {
    let mut patient = room(2);
    patient.spec.check_interval = "24h".into();
    let mailbox = [TENANT_NAME, Kind::WorkspaceMailbox.as_str()];
    let series = scraped(&tenant(1), &[patient.clone()]);
    assert_eq!(value(&series, &CHECK_OVERDUE, &mailbox), Some(0.0));
    let series = scraped(&tenant(1), &[patient, room(3)]);
    assert_eq!(value(&series, &CHECK_OVERDUE, &mailbox), Some(7200.0));
    let tenants = [TENANT_NAME, Kind::CalendarTenant.as_str()];
    assert_eq!(value(&series, &CHECK_OVERDUE, &tenants), Some(7200.0));
}

#[tokio::test]
async fn a_mailbox_that_another_object_has_is_not_late() {
    let mut patient = room(2);
    patient.spec.check_interval = "24h".into();
    let mut namesake = room(3);
    namesake.spec.address = patient.spec.address.clone();
    let series = scraped(&tenant(1), &[patient, namesake]);
    let mailbox = [TENANT_NAME, Kind::WorkspaceMailbox.as_str()];
    assert_eq!(value(&series, &CHECK_OVERDUE, &mailbox), Some(0.0));
    let mut alone = room(3);
    alone.spec.address = "room-4@contoso.example".into();
    let series = scraped(&tenant(1), &[alone]);
    assert_eq!(value(&series, &CHECK_OVERDUE, &mailbox), Some(7200.0));
}

#[tokio::test]
async fn nobody_is_told_of_the_credential_of_a_tenant_that_rests() {
    let ends = |suspend: bool| {
        let stage = Stage::new();
        let context = stage.context();
        let mut record = tenant(1);
        record.spec.suspend = suspend;
        context.tenant_present(&record);
        let mut world = context.world();
        let known = world.tenants.get_mut(&record.key).unwrap();
        known.facts.credential_expires_at = Some(later(start(), Duration::from_hours(1)));
        let mut series = Series::default();
        describe(&world, (start(), MetricsDetail::Object), &mut series);
        value(&series, &CREDENTIAL_EXPIRY, &[TENANT_NAME])
    };
    assert!(ends(false).is_some());
    assert_eq!(ends(true), None);
}

#[tokio::test]
async fn stalled_is_told_when_no_other_condition_says_why() {
    let unusable = subscribed(2, &["Stalled=True/InvalidSpec"]);
    let found = ["Stalled=True/NotFound", "MailboxNotFound=True/NotFound"];
    let series = scraped(&tenant(1), &[unusable, subscribed(3, &found)]);
    let problem = |name, type_, reason| {
        let kind = Kind::WorkspaceMailbox.as_str();
        let labels = [kind, "calendars", name, TENANT_NAME, type_, reason];
        value(&series, &CONDITION, &labels)
    };
    assert_eq!(problem("room-2", "Stalled", "InvalidSpec"), Some(1.0));
    assert_eq!(problem("room-3", "MailboxNotFound", "NotFound"), Some(1.0));
    assert_eq!(problem("room-3", "Stalled", "NotFound"), None);
}

#[tokio::test]
async fn what_rests_does_not_count_as_unchecked() {
    let ages = |suspend: bool| {
        let stage = Stage::new();
        let context = stage.context();
        let mirror = &stage.around.mirror;
        let _lent = mirror.lend(&context);
        let mut record = tenant(1);
        record.spec.suspend = suspend;
        context.tenant_present(&record);
        context.mailbox_present(room(2));
        let labels = Labels::default();
        labels.follow(Some(mirror.clone()));
        let families = WorldCollector::new(labels, MetricsDetail::Object).collect();
        let name = OLDEST_CHECK_AGE.full_name();
        families.iter().any(|family| family.name() == name)
    };
    assert!(ages(false));
    assert!(!ages(true));
}

#[tokio::test]
async fn objects_with_the_same_conditions_are_counted_together_and_apart_from_others() {
    let works = ["Ready=True/Activated", "MailboxNotFound=False/Passed"];
    let lost = [
        "Ready=False/MailboxNotFound",
        "MailboxNotFound=True/NotFound",
    ];
    let rests = ["Ready=Unknown/Suspended", "MailboxNotFound=False/Passed"];
    let mut rooms: Vec<_> = (2..=4).map(|number| subscribed(number, &works)).collect();
    rooms.extend([subscribed(5, &lost), subscribed(6, &rests)]);
    let series = scraped(&tenant(1), &rooms);
    let count = |type_, status, reason| {
        let labels = ["WorkspaceMailbox", TENANT_NAME, type_, status, reason];
        value(&series, &CONDITIONS, &labels)
    };
    assert_eq!(count("Ready", "True", "Activated"), Some(3.0));
    assert_eq!(count("MailboxNotFound", "False", "Passed"), Some(3.0));
    assert_eq!(count("Ready", "False", "MailboxNotFound"), Some(1.0));
    assert_eq!(count("MailboxNotFound", "True", "NotFound"), Some(1.0));
    assert_eq!(count("Ready", "Unknown", "Suspended"), Some(1.0));
}

#[tokio::test]
async fn what_many_mailboxes_have_alike_is_read_once_by_a_scrape() {
    const ROOMS: u8 = 200;
    let passed = conditions_of(Kind::WorkspaceMailbox).iter();
    let mut conditions: Vec<String> = passed
        .map(|meta| format!("{}=False/Passed", meta.type_.as_str()))
        .collect();
    conditions.push("Ready=True/Activated".to_owned());
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    let context = Stage::new().context();
    context.tenant_present(&tenant(1));
    for number in 2..2 + ROOMS {
        context.mailbox_present(subscribed(number, &conditions));
    }
    let world = context.world();
    let mut series = Series::default();
    let scrape = measure(|| describe(&world, (start(), MetricsDetail::Tenant), &mut series));
    let each = scrape.count_total / u64::from(ROOMS);
    assert!(each < 20, "{each} allocations for each mailbox");
    let labels = [
        "WorkspaceMailbox",
        TENANT_NAME,
        "Ready",
        "True",
        "Activated",
    ];
    assert_eq!(value(&series, &CONDITIONS, &labels), Some(f64::from(ROOMS)));
}

#[test]
fn every_family_can_be_registered_beside_the_counters() {
    let metrics = Metrics::new().unwrap();
    let collector = WorldCollector::new(Labels::default(), MetricsDetail::Object);
    assert_eq!(collector.desc().len(), WORLD.len());
    metrics.registry.register(Box::new(collector)).unwrap();
}

#[test]
fn a_process_that_does_not_lead_tells_its_version_only() {
    let collector = WorldCollector::new(Labels::default(), MetricsDetail::Object);
    let names: Vec<String> = collector
        .collect()
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    assert_eq!(names, ["hybridcalendar_build_info"]);
}
