//! The alerts about the operator itself.

use super::{Case, Firing, case};

const ONE: &str = "job=\"operator\",instance=\"10.0.0.1:9090\"";
const OTHER: &str = "job=\"operator\",instance=\"10.0.0.2:9090\"";
const EAST: &str =
    "cluster=\"east\",job=\"operator\",namespace=\"calendars\",instance=\"10.0.0.1:9090\"";
const WEST: &str =
    "cluster=\"west\",job=\"operator\",namespace=\"calendars\",instance=\"10.0.0.1:9090\"";
const INSTALLATION: &[(&str, &str)] = &[("job", "operator")];

pub(super) fn cases() -> Vec<Case> {
    [
        down(),
        restarting(),
        leaders(),
        blind(),
        unknown(),
        late(),
        failing(),
        defects(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A series of the copy `labels`.
fn of(name: &str, labels: &str) -> String {
    let comma = if name.ends_with('{') { "" } else { "," };
    match name.split_once('{') {
        Some(_) => format!("{name}{comma}{labels}}}"),
        None => format!("{name}{{{labels}}}"),
    }
}

fn down() -> Vec<Case> {
    let one = of("hybridcalendar_build_info", ONE);
    let other = of("hybridcalendar_build_info", OTHER);
    let firing = Firing::new(
        INSTALLATION,
        "No copy of hybrid-calendar-operator is scraped",
    );
    let here = of("hybridcalendar_build_info", EAST);
    let there = of("hybridcalendar_build_info", WEST);
    let in_the_west = Firing::new(
        &[
            ("cluster", "west"),
            ("job", "operator"),
            ("namespace", "calendars"),
        ],
        "No copy of hybrid-calendar-operator in namespace calendars of cluster west is scraped",
    );
    let nobody = Firing::new(&[], "No copy of hybrid-calendar-operator is scraped");
    vec![
        case(
            (
                "OperatorDown",
                "one of two installations is gone, then back",
            ),
            &[(&here, "1+0x60"), (&there, "1+0x5 stale _x24 1+0x20")],
            &[
                (15, None),
                (17, Some(&in_the_west)),
                (29, Some(&in_the_west)),
                (32, None),
            ],
        ),
        case(
            ("OperatorDown", "it was never scraped"),
            &[(&here, "_x20 1+0x20")],
            &[(9, None), (11, Some(&nobody)), (22, None)],
        ),
        case(
            (
                "OperatorDown",
                "its node is lost, and given up after five minutes",
            ),
            &[(&one, "1+0x5 stale"), (&other, "_x14 1+0x30")],
            &[(11, None), (14, None), (16, None), (30, None)],
        ),
        case(
            (
                "OperatorDown",
                "the only copy is gone, then there is another one",
            ),
            &[(&one, "1+0x5 stale"), (&other, "_x20 1+0x20")],
            &[
                (15, None),
                (17, Some(&firing)),
                (19, Some(&firing)),
                (21, None),
            ],
        ),
        case(
            ("OperatorDown", "it is replaced within minutes"),
            &[(&one, "1+0x5 stale"), (&other, "_x9 1+0x30")],
            &[(8, None), (12, None), (20, None)],
        ),
    ]
}

fn restarting() -> Vec<Case> {
    let start = of("process_start_time_seconds", ONE);
    let info = of("hybridcalendar_build_info", ONE);
    let labels = [("job", "operator"), ("instance", "10.0.0.1:9090")];
    let firing = Firing::new(
        &labels,
        "hybrid-calendar-operator on 10.0.0.1:9090 started 4 times within an hour",
    );
    vec![
        case(
            (
                "OperatorRestarting",
                "it crashes every six minutes, four times",
            ),
            &[
                (&start, "100+0x5 200+0x5 300+0x5 400+0x5 500+0x100"),
                (
                    &info,
                    "1+0x4 stale 1+0x4 stale 1+0x4 stale 1+0x4 stale 1+0x100",
                ),
            ],
            &[
                (23, None),
                (24, Some(&firing)),
                (60, Some(&firing)),
                (82, None),
            ],
        ),
        case(
            ("OperatorRestarting", "it was rolled out thrice"),
            &[
                (&start, "100+0x5 200+0x5 300+0x5 400+0x60"),
                (&info, "1+0x80"),
            ],
            &[(18, None), (30, None), (60, None)],
        ),
        case(
            ("OperatorRestarting", "another program crashes"),
            &[(&start, "100+0x5 200+0x5 300+0x5 400+0x5 500+0x100")],
            &[(24, None), (30, None)],
        ),
    ]
}

fn leaders() -> Vec<Case> {
    let one = of("hybridcalendar_leader", ONE);
    let other = of("hybridcalendar_leader", OTHER);
    let nobody = Firing::new(INSTALLATION, "No copy of hybrid-calendar-operator leads");
    let two = Firing::new(
        INSTALLATION,
        "2 copies of hybrid-calendar-operator lead at once",
    );
    vec![
        case(
            ("NoLeader", "two copies run and none leads for a while"),
            &[(&one, "1+0x5 0+0x60"), (&other, "0+0x20 1+0x20")],
            &[
                (10, None),
                (12, Some(&nobody)),
                (20, Some(&nobody)),
                (22, None),
            ],
        ),
        case(
            ("NoLeader", "another copy takes over"),
            &[(&one, "1+0x5 stale"), (&other, "0+0x8 1+0x30")],
            &[(8, None), (12, None), (30, None)],
        ),
        case(
            ("TwoLeaders", "two copies lead for a while"),
            &[(&one, "1+0x20 0+0x20"), (&other, "0+0x5 1+0x40")],
            &[(8, None), (10, Some(&two)), (20, Some(&two)), (22, None)],
        ),
        case(
            (
                "TwoLeaders",
                "the old leader is scraped a last time after the new one",
            ),
            &[(&one, "1+0x7 stale"), (&other, "0+0x5 1+0x40")],
            &[(7, None), (9, None), (12, None)],
        ),
    ]
}

fn blind() -> Vec<Case> {
    let leads = of("hybridcalendar_leader", ONE);
    let waits = of("hybridcalendar_leader", OTHER);
    let queue = of("hybridcalendar_queue_depth{class=\"renewal\"", ONE);
    let firing = Firing::new(
        INSTALLATION,
        "The leader of hybrid-calendar-operator does not get to know its objects",
    );
    vec![
        case(
            ("LeaderBlind", "its first lists fail for a while"),
            &[
                (&leads, "0+0x5 1+0x60"),
                (&waits, "0+0x60"),
                (&queue, "_x30 0+0x30"),
            ],
            &[
                (15, None),
                (17, Some(&firing)),
                (29, Some(&firing)),
                (31, None),
            ],
        ),
        case(
            ("LeaderBlind", "its first lists take some minutes"),
            &[(&leads, "0+0x5 1+0x60"), (&queue, "_x14 0+0x50")],
            &[(13, None), (17, None), (40, None)],
        ),
        case(
            ("LeaderBlind", "nobody leads, which another alert tells"),
            &[(&leads, "0+0x60"), (&waits, "0+0x60")],
            &[(20, None), (60, None)],
        ),
    ]
}

fn unknown() -> Vec<Case> {
    let tenant = "kind=\"CalendarTenant\",tenant=\"calendars/contoso\"";
    let mailboxes = "kind=\"WorkspaceMailbox\",tenant=\"calendars/contoso\"";
    let ready = |who: &str, reason: &str| {
        format!(
            "hybridcalendar_conditions{{{who},type=\"Ready\",status=\"Unknown\",reason=\"{reason}\"}}"
        )
    };
    let unlooked = ready(mailboxes, "MailboxNotFound");
    let silent = format!(
        "hybridcalendar_conditions{{{tenant},type=\"MicrosoftUnavailable\",status=\"True\",reason=\"ServerErrors\"}}"
    );
    let firing = Firing::new(
        &[
            ("kind", "WorkspaceMailbox"),
            ("tenant", "calendars/contoso"),
        ],
        "2 WorkspaceMailbox of tenant calendars/contoso could not be checked for an hour",
    );
    vec![
        case(
            ("ReadinessUnknown", "two mailboxes cannot be checked"),
            &[(&unlooked, "_x10 2+0x90 stale")],
            &[(69, None), (71, Some(&firing)), (107, None)],
        ),
        case(
            (
                "ReadinessUnknown",
                "Microsoft does not answer the tenant either",
            ),
            &[(&unlooked, "2+0x90"), (&silent, "1+0x90")],
            &[(65, None), (90, None)],
        ),
        case(
            ("ReadinessUnknown", "somebody suspended them"),
            &[(&ready(mailboxes, "Suspended"), "2+0x90")],
            &[(65, None), (90, None)],
        ),
    ]
}

fn late() -> Vec<Case> {
    let overdue = "hybridcalendar_check_overdue_seconds{kind=\"WorkspaceMailbox\",tenant=\"calendars/contoso\"}";
    let refused = "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Unauthorized\",status=\"True\",reason=\"Rejected\"}";
    let unpermitted = refused.replace("Rejected", "PermissionMissing");
    let waits = of(
        "hybridcalendar_queue_longest_wait_seconds{class=\"renewal\"",
        EAST,
    );
    let healthy = of(
        "hybridcalendar_queue_longest_wait_seconds{class=\"renewal\"",
        WEST,
    );
    let stuck = Firing::new(
        &[
            ("kind", "WorkspaceMailbox"),
            ("tenant", "calendars/contoso"),
        ],
        "A check of a WorkspaceMailbox of tenant calendars/contoso is 40m 0s late",
    );
    let queue = Firing::new(
        &[
            ("class", "renewal"),
            ("cluster", "east"),
            ("job", "operator"),
            ("namespace", "calendars"),
        ],
        "Work of class renewal of hybrid-calendar-operator in namespace calendars of cluster east has waited for 15m 0s",
    );
    vec![
        case(
            ("ChecksStuck", "a check is forty minutes late"),
            &[(overdue, "0+0x5 2400+0x30 0+0x30")],
            &[(20, None), (22, Some(&stuck)), (43, None)],
        ),
        case(
            ("ChecksStuck", "checks are late by less than half an hour"),
            &[(overdue, "1800+0x60")],
            &[(30, None), (60, None)],
        ),
        case(
            ("ChecksStuck", "the tenant lacks a permission, too"),
            &[(overdue, "2400+0x60"), (&unpermitted, "1+0x60")],
            &[(14, None), (16, Some(&stuck))],
        ),
        case(
            ("ChecksStuck", "the tenant is without a token"),
            &[(overdue, "2400+0x60"), (refused, "1+0x60")],
            &[(30, None), (60, None)],
        ),
        case(
            ("QueueStuck", "renewals wait for a quarter of an hour"),
            &[(&waits, "0+0x5 900+0x30 0+0x30"), (&healthy, "0+0x70")],
            &[(15, None), (17, Some(&queue)), (43, None)],
        ),
        case(
            ("QueueStuck", "what fell due while nothing ran is soon done"),
            &[(&waits, "7200+0x8 0+0x30")],
            &[(9, None), (12, None), (30, None)],
        ),
    ]
}

fn failing() -> Vec<Case> {
    let errors = of(
        "hybridcalendar_reconcile_seconds_count{kind=\"WorkspaceMailbox\",outcome=\"error\"",
        ONE,
    );
    let fine = of(
        "hybridcalendar_reconcile_seconds_count{kind=\"WorkspaceMailbox\",outcome=\"unchanged\"",
        ONE,
    );
    let firing = Firing::new(
        INSTALLATION,
        "20% of the reconciles of hybrid-calendar-operator end in an error",
    );
    vec![
        case(
            ("StatusWritesFailing", "one status of five is not taken"),
            &[(&errors, "0+0x10 2+2x30 62+0x40"), (&fine, "0+8x90")],
            &[(15, None), (32, Some(&firing)), (60, None)],
        ),
        case(
            ("StatusWritesFailing", "one of twenty is not taken"),
            &[(&errors, "0+1x60"), (&fine, "0+19x60")],
            &[(30, None), (60, None)],
        ),
        case(
            ("StatusWritesFailing", "two of few are not taken"),
            &[(&errors, "0+0x10 1 2 2+0x40"), (&fine, "0+0x10 1 2 2+0x40")],
            &[(13, None), (22, None), (30, None)],
        ),
    ]
}

fn defects() -> Vec<Case> {
    let panics = of("hybridcalendar_reconcile_panics_total", ONE);
    let lost = of("hybridcalendar_wake_lost_total", ONE);
    let panicked = Firing::new(
        INSTALLATION,
        "A reconcile of hybrid-calendar-operator panicked",
    );
    let full = Firing::new(
        INSTALLATION,
        "Lifecycle notifications found the wake queue of hybrid-calendar-operator full",
    );
    let mut cases = Vec::new();
    for (alert, series, firing) in [
        ("ReconcilePanics", &panics, &panicked),
        ("WakesLost", &lost, &full),
    ] {
        cases.push(case(
            (alert, "it happens once"),
            &[(series, "0+0x10 1+0x90")],
            &[
                (10, None),
                (12, Some(firing)),
                (60, Some(firing)),
                (75, None),
            ],
        ));
        cases.push(case(
            (
                alert,
                "it happened before, and the operator was restarted since",
            ),
            &[(series, "3+0x10 0+0x60")],
            &[(9, None), (12, None), (60, None)],
        ));
    }
    cases
}
