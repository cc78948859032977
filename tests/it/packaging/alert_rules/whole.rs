//! All alerts at once: a healthy installation raises none, nor does one whose copies come and go.

use super::{Case, Check, Rule};

/// Everything that a healthy copy shows: name and labels, value at the beginning, growth a minute.
const HEALTHY: &[(&str, &str)] = &[
    ("hybridcalendar_build_info{version=\"0.1.0\"", "1+0x"),
    ("hybridcalendar_leader{", "1+0x"),
    ("hybridcalendar_queue_depth{class=\"routine\"", "0+0x"),
    (
        "hybridcalendar_ready{kind=\"CalendarTenant\",namespace=\"calendars\",name=\"contoso\",tenant=\"calendars/contoso\"",
        "1+0x",
    ),
    (
        "hybridcalendar_ready{kind=\"WorkspaceMailbox\",namespace=\"calendars\",name=\"room-a\",tenant=\"calendars/contoso\"",
        "1+0x",
    ),
    (
        "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Ready\",status=\"True\",reason=\"Operational\"",
        "1+0x",
    ),
    (
        "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Unauthorized\",status=\"False\",reason=\"Authorized\"",
        "1+0x",
    ),
    (
        "hybridcalendar_conditions{kind=\"WorkspaceMailbox\",tenant=\"calendars/contoso\",type=\"Ready\",status=\"True\",reason=\"Activated\"",
        "50+0x",
    ),
    (
        "hybridcalendar_conditions{kind=\"WorkspaceMailbox\",tenant=\"calendars/contoso\",type=\"MailboxNotFound\",status=\"False\",reason=\"MailboxFound\"",
        "50+0x",
    ),
    (
        "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"",
        "50+0x",
    ),
    (
        "hybridcalendar_renewal_margin_ratio{tenant=\"calendars/contoso\"",
        "0.4+0x",
    ),
    (
        "hybridcalendar_renewal_slack_seconds{tenant=\"calendars/contoso\"",
        "200000+0x",
    ),
    (
        "hybridcalendar_credential_expiry_timestamp_seconds{tenant=\"calendars/contoso\"",
        "9000000+0x",
    ),
    (
        "hybridcalendar_check_overdue_seconds{tenant=\"calendars/contoso\",kind=\"WorkspaceMailbox\"",
        "20+0x",
    ),
    (
        "hybridcalendar_queue_longest_wait_seconds{class=\"routine\"",
        "1+0x",
    ),
    (
        "hybridcalendar_reconcile_seconds_count{kind=\"WorkspaceMailbox\",outcome=\"unchanged\"",
        "0+5x",
    ),
    ("hybridcalendar_reconcile_panics_total{", "0+0x"),
    ("hybridcalendar_wake_lost_total{", "0+0x"),
    (
        "hybridcalendar_notifications_total{result=\"accepted\",tenant=\"calendars/contoso\"",
        "0+3x",
    ),
    (
        "hybridcalendar_notifications_total{result=\"forged\",tenant=\"\"",
        "0+0x",
    ),
    (
        "hybridcalendar_notifications_total{result=\"unavailable\",tenant=\"\"",
        "0+0x",
    ),
    (
        "hybridcalendar_lifecycle_events_total{event=\"missed\",tenant=\"calendars/contoso\"",
        "0+0x",
    ),
    (
        "hybridcalendar_last_notification_timestamp_seconds{tenant=\"calendars/contoso\"",
        "0+60x",
    ),
    (
        "hybridcalendar_notification_response_seconds_bucket{le=\"3\"",
        "0+3x",
    ),
    (
        "hybridcalendar_notification_response_seconds_count{",
        "0+3x",
    ),
    (
        "hybridcalendar_graph_requests_total{operation=\"getUser\",code=\"200\",tenant=\"calendars/contoso\"",
        "0+5x",
    ),
    ("process_start_time_seconds{", "100+0x"),
];

pub(super) fn cases(rules: &[Rule]) -> Vec<Case> {
    vec![
        Case {
            name: "a healthy installation raises no alert".to_owned(),
            series: copy(1, 0, 120),
            checks: silence(rules, &[1, 30, 119]),
        },
        Case {
            name: "a copy that is killed and replaced raises none".to_owned(),
            series: [copy(1, 0, 40), copy(2, 43, 70)].concat(),
            checks: silence(rules, &[41, 42, 44, 60, 110]),
        },
        Case {
            name: "another copy that begins to lead raises none".to_owned(),
            series: [copy(1, 0, 40), waiting(2, 0, 39), copy(2, 40, 70)].concat(),
            checks: silence(rules, &[40, 41, 45, 60, 109]),
        },
    ]
}

/// What a copy that leads shows from a minute on, for so many minutes.
fn copy(number: u32, from: u32, minutes: u32) -> Vec<(String, String)> {
    let series = |(name, values): &(&str, &str)| shown((name, values), number, (from, minutes));
    HEALTHY.iter().map(series).collect()
}

/// What a copy that does not lead shows.
fn waiting(number: u32, from: u32, minutes: u32) -> Vec<(String, String)> {
    // A label of its own: promtool takes each series once.
    let leader = ("hybridcalendar_leader{standby=\"yes\"", "0+0x");
    vec![shown(leader, number, (from, minutes))]
}

fn shown(
    (name, values): (&str, &str),
    number: u32,
    (from, minutes): (u32, u32),
) -> (String, String) {
    let comma = if name.ends_with('{') { "" } else { "," };
    let labels = format!("job=\"operator\",instance=\"10.0.0.{number}:9090\"");
    let before = if from > 0 {
        format!("_x{from} ")
    } else {
        String::new()
    };
    (
        format!("{name}{comma}{labels}}}"),
        format!("{before}{values}{minutes} stale"),
    )
}

fn silence(rules: &[Rule], minutes: &[u32]) -> Vec<Check> {
    let quiet = |rule: &Rule, minute: u32| Check {
        minute,
        alert: rule.alert.clone(),
        firing: Vec::new(),
    };
    minutes
        .iter()
        .flat_map(|minute| rules.iter().map(move |rule| quiet(rule, *minute)))
        .collect()
}
