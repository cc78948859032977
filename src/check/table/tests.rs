//! How a report looks: in a pipe, and in a narrow terminal with colours.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::records::{MailboxRecord, Record, TenantRecord};
use crate::ids::Uid;

fn record<Spec, Status>(name: &str, spec: Value, status: Value) -> Arc<Record<Spec, Status>>
where
    Spec: serde::de::DeserializeOwned,
    Status: serde::de::DeserializeOwned,
{
    Arc::new(Record {
        key: ObjectKey::new("calendars", name),
        uid: Uid::from_bytes([7; 16]),
        generation: 1,
        resource_version: "1".into(),
        created_at: "2026-11-24T08:00:00Z".parse().unwrap(),
        requested_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: serde_json::from_value(status).unwrap(),
    })
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-24T08:00:00Z",
    })
}

fn tenant(conditions: &[Value]) -> TenantReport {
    let spec = json!({
        "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
        "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
        "credential": {"clientSecret": {"secretRef": {"name": "credential"}}},
    });
    let status = json!({
        "conditions": conditions,
        "organization": {"displayName": "Contoso\u{1b}[2J", "id": "5f1d7a9c-1111-4000-8000-000000000001"},
        "domains": [
            {"name": "contoso.example", "default": true, "verified": true},
            {"name": "old.example", "default": false, "verified": false},
        ],
        "permissions": {"granted": ["Calendars.Read"], "missing": ["Place.Read.All"], "excess": []},
        "credential": {"kind": "ClientSecret", "expiresAt": "2027-06-30T00:00:00Z"},
    });
    let record: Arc<TenantRecord> = record("contoso", spec, status);
    TenantReport {
        record,
        consent: Some(
            "https://login.example/t/adminconsent?client_id=c"
                .parse()
                .unwrap(),
        ),
    }
}

fn mailbox(name: &str, conditions: &[Value]) -> MailboxReport {
    let spec = json!({"tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"});
    let status = json!({
        "conditions": conditions,
        "mailbox": {"id": "1", "primaryAddress": "room-a@contoso.example", "displayName": "Room A"},
    });
    let record: Arc<MailboxRecord> = record(name, spec, status);
    MailboxReport {
        record,
        tenant: Some(ObjectKey::new("calendars", "contoso")),
    }
}

/// A tenant with a problem, a warning and things that were not tried, and two mailboxes.
fn report() -> Report {
    let tenant = tenant(&[
        condition(
            "Ready",
            "False",
            "Unauthorized",
            "PermissionMissing: Application 1 may not do what is needed.",
        ),
        condition("Reconciling", "True", "Progressing", "It is worked on."),
        condition(
            "Unauthorized",
            "True",
            "PermissionMissing",
            "Application 1 may not do what is needed: Place.Read.All.",
        ),
        condition("DomainMismatch", "False", "DomainVerified", ""),
        condition(
            "TestMailboxFailed",
            "Unknown",
            "Blocked",
            "Not checked because of Unauthorized.",
        ),
        condition(
            "EndpointRejected",
            "False",
            "NotApplicable",
            "No subscription was asked for yet.",
        ),
        condition(
            "CredentialExpiring",
            "True",
            "ExpiresSoon",
            "The credential ends at 2027-06-30T00:00:00Z.",
        ),
    ]);
    let well = mailbox(
        "room-a",
        &[
            condition("Ready", "True", "Activated", "The mailbox works."),
            condition("MailboxNotFound", "False", "MailboxFound", ""),
        ],
    );
    let open = mailbox(
        "room-b",
        &[
            condition(
                "Ready",
                "Unknown",
                "TenantNotReady",
                "NotYetKnown: It is being checked.",
            ),
            condition(
                "TenantNotReady",
                "Unknown",
                "NotYetKnown",
                "It is being checked.",
            ),
        ],
    );
    Report {
        tenants: vec![tenant],
        mailboxes: vec![well, open],
        left_aside: Vec::new(),
        unfinished: true,
        writes: Writes::Refused,
    }
}

fn style(colored: bool, width: Option<usize>) -> Style {
    Style {
        colored,
        width,
        runbooks: "https://pages.example/runbooks".to_owned(),
    }
}

#[test]
fn a_pipe_gets_whole_lines_without_colours() {
    insta::assert_snapshot!(render(&report(), &style(false, None)));
}

#[test]
fn a_terminal_gets_colours_and_lines_that_fit() {
    let text = render(&report(), &style(true, Some(72)));
    insta::assert_snapshot!(text.replace('\u{1b}', "^"));
}

#[test]
fn colours_take_no_room() {
    let plain = render(&report(), &style(false, Some(72)));
    let colored = render(&report(), &style(true, Some(72)));
    let mut bare = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        bare += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(bare + rest, plain);
    let longest = plain.lines().filter(|line| !line.contains("https://"));
    assert!(
        longest.map(|line| line.chars().count()).max().unwrap() <= 72,
        "{plain}"
    );
}

#[test]
fn nothing_from_outside_steers_the_terminal() {
    let text = render(&report(), &style(false, None));
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("Contoso\u{fffd}[2J"), "{text}");
}

#[test]
fn a_spec_that_cannot_be_used_is_shown_by_its_stalled() {
    let stalled = tenant(&[
        condition("Ready", "False", "EndpointNotAllowed", "It is not allowed."),
        condition(
            "Stalled",
            "True",
            "EndpointNotAllowed",
            "It is not allowed.",
        ),
        condition(
            "Unauthorized",
            "Unknown",
            "Blocked",
            "Not checked because of EndpointNotAllowed.",
        ),
    ]);
    let report = Report {
        tenants: vec![stalled],
        mailboxes: Vec::new(),
        ..report()
    };
    let text = render(&report, &style(false, None));
    assert!(
        text.contains("✗ Stalled               True     EndpointNotAllowed"),
        "{text}"
    );
    assert!(
        text.contains("https://pages.example/runbooks/tenant/Stalled.md"),
        "{text}"
    );
}

#[test]
fn the_worst_object_decides_and_a_silent_microsoft_is_no_problem() {
    let ready = |status: &str, reason: &str| {
        let condition = condition("Ready", status, reason, "");
        vec![serde_json::from_value(condition).unwrap()]
    };
    for (status, reason, expected) in [
        ("True", "Operational", Outcome::Ready),
        ("Unknown", "Suspended", Outcome::Ready),
        ("Unknown", "Unauthorized", Outcome::Undetermined),
        ("False", "MicrosoftUnavailable", Outcome::Undetermined),
        ("False", "Unauthorized", Outcome::Problem),
    ] {
        assert_eq!(
            outcome(&ready(status, reason)),
            expected,
            "{status} {reason}"
        );
    }
    assert_eq!(outcome(&[]), Outcome::Undetermined);
    assert_eq!(report().outcome(), Outcome::Problem);
}

#[test]
fn a_run_that_was_not_finished_does_not_say_that_all_is_well() {
    let ready = condition("Ready", "True", "Activated", "The mailbox works.");
    let whole = Report {
        tenants: Vec::new(),
        mailboxes: vec![mailbox("room-a", &[ready])],
        unfinished: false,
        ..report()
    };
    assert_eq!(whole.outcome(), Outcome::Ready);
    let part = Report {
        unfinished: true,
        ..whole
    };
    assert_eq!(part.outcome(), Outcome::Undetermined);
    let text = render(&part, &style(false, None));
    assert!(
        text.contains("Not everything could be found out."),
        "{text}"
    );
}
