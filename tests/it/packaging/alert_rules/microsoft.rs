//! The alerts about what Microsoft grants.

use super::{Case, Firing, case};

const TENANT: &[(&str, &str)] = &[("tenant", "calendars/contoso")];

pub(super) fn cases() -> Vec<Case> {
    [credential(), throttled(), errors()]
        .into_iter()
        .flatten()
        .collect()
}

fn credential() -> Vec<Case> {
    const DAY: u32 = 86_400;
    let ends = "hybridcalendar_credential_expiry_timestamp_seconds{tenant=\"calendars/contoso\"}";
    let expired = "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Unauthorized\",status=\"True\",reason=\"ClientSecretExpired\"}";
    let firing = Firing::new(
        TENANT,
        "The credential of tenant calendars/contoso ends in 5d 23h 30m 0s",
    );
    vec![
        case(
            (
                "CredentialEndsSoon",
                "six days are left, then it is rotated",
            ),
            &[(ends, &*format!("{}+0x40 {}+0x40", 6 * DAY, 90 * DAY))],
            &[(14, None), (30, Some(&firing)), (47, None)],
        ),
        case(
            ("CredentialEndsSoon", "eight days are left"),
            &[(ends, &*format!("{}+0x80", 8 * DAY))],
            &[(30, None), (80, None)],
        ),
        case(
            (
                "CredentialEndsSoon",
                "it has ended, which another alert tells",
            ),
            &[(ends, "0+0x80"), (expired, "1+0x80")],
            &[(30, None), (80, None)],
        ),
    ]
}

fn throttled() -> Vec<Case> {
    let seconds = "hybridcalendar_graph_throttled_seconds_total{tenant=\"calendars/contoso\",instance=\"10.0.0.1:9090\"}";
    let firing = Firing::new(
        TENANT,
        "Graph makes tenant calendars/contoso wait for 20% of the time",
    );
    vec![
        case(
            (
                "GraphThrottled",
                "twelve seconds of each minute are lost for an hour",
            ),
            &[(seconds, "0+0x10 12+12x60 732+0x60")],
            &[(20, None), (50, Some(&firing)), (100, None)],
        ),
        case(
            ("GraphThrottled", "three seconds of each minute are lost"),
            &[(seconds, "0+3x90")],
            &[(40, None), (90, None)],
        ),
        case(
            ("GraphThrottled", "it happens once"),
            &[(seconds, "0+0x10 120+0x60")],
            &[(12, None), (26, None), (40, None)],
        ),
    ]
}

fn errors() -> Vec<Case> {
    let calls = |code: &str| {
        format!(
            "hybridcalendar_graph_requests_total{{operation=\"getUser\",code=\"{code}\",tenant=\"calendars/contoso\",job=\"operator\",instance=\"10.0.0.1:9090\"}}"
        )
    };
    let (good, bad, late) = (calls("200"), calls("503"), calls("timeout"));
    let silent = "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"MicrosoftUnavailable\",status=\"True\",reason=\"ServerErrors\"}";
    let elsewhere = silent.replace("contoso", "fabrikam");
    let firing = Firing::new(
        TENANT,
        "40% of the calls to Microsoft for tenant calendars/contoso fail",
    );
    let failing = [(&*good, "0+6x60"), (&*bad, "0+4x60")];
    vec![
        case(
            ("GraphErrors", "two of five calls fail for a while"),
            &[
                (&good, "0+6x110"),
                (&bad, "0+0x10 2+2x40 82+0x60"),
                (&late, "0+0x10 2+2x40 82+0x60"),
            ],
            &[(20, None), (45, Some(&firing)), (70, None)],
        ),
        case(
            ("GraphErrors", "one call of ten fails"),
            &[(&good, "0+9x60"), (&bad, "0+1x60")],
            &[(30, None), (60, None)],
        ),
        case(
            (
                "GraphErrors",
                "the tenant is cut off, which another alert tells",
            ),
            &[&failing[..], &[(silent, "1+0x60")]].concat(),
            &[(30, None), (60, None)],
        ),
        case(
            ("GraphErrors", "another tenant is cut off"),
            &[&failing[..], &[(&*elsewhere, "1+0x60")]].concat(),
            &[(14, None), (30, Some(&firing))],
        ),
    ]
}
