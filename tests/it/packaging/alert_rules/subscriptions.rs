//! The alerts about subscriptions as a whole, and about what arrives by them.

use super::{Case, Firing, case};

const TENANT: &[(&str, &str)] = &[("tenant", "calendars/contoso")];
const MARGIN: &str = "hybridcalendar_renewal_margin_ratio{tenant=\"calendars/contoso\"}";
const SLACK: &str = "hybridcalendar_renewal_slack_seconds{tenant=\"calendars/contoso\"}";

pub(super) fn cases() -> Vec<Case> {
    [
        slack(),
        lapse(),
        coverage(),
        vanishing(),
        not_ready(),
        slow(),
        forged(),
        unavailable(),
        missed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the tenant has, by type and reason.
fn tenant_has(type_: &str, status: &str, reason: &str) -> String {
    format!(
        "hybridcalendar_conditions{{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"{type_}\",\
         status=\"{status}\",reason=\"{reason}\"}}"
    )
}

fn slack() -> Vec<Case> {
    let refused = tenant_has("Unauthorized", "True", "Rejected");
    let unpermitted = tenant_has("Unauthorized", "True", "PermissionMissing");
    let unconsented = tenant_has("Unauthorized", "True", "ConsentRequired");
    let firing = Firing::new(
        TENANT,
        "A subscription of tenant calendars/contoso has 20% of its life left and is not renewed",
    );
    let shortest = Firing::new(
        TENANT,
        "A subscription of tenant calendars/contoso has 11.2% of its life left and is not renewed",
    );
    vec![
        case(
            (
                "RenewalSlackLow",
                "a renewal does not succeed for long, then it does",
            ),
            &[(MARGIN, "0.4+0x5 0.2+0x30 1+0x30"), (SLACK, "90000+0x70")],
            &[(10, None), (12, Some(&firing)), (43, None)],
        ),
        case(
            (
                "RenewalSlackLow",
                "the shortest life is told of before it ends",
            ),
            &[(MARGIN, "1-0.0222x45")],
            &[(38, None), (40, Some(&shortest))],
        ),
        case(
            ("RenewalSlackLow", "the tenant lacks a permission, too"),
            &[(MARGIN, "0.2+0x60"), (&unpermitted, "1+0x60")],
            &[(4, None), (6, Some(&firing))],
        ),
        case(
            ("RenewalSlackLow", "the tenant lacks every permission, too"),
            &[(MARGIN, "0.2+0x60"), (&unconsented, "1+0x60")],
            &[(4, None), (6, Some(&firing))],
        ),
        case(
            ("RenewalSlackLow", "a renewal succeeds at the second try"),
            &[(MARGIN, "0.26+0x60"), (SLACK, "90000+0x60")],
            &[(30, None), (60, None)],
        ),
        case(
            (
                "RenewalSlackLow",
                "so little is left that another alert speaks",
            ),
            &[(MARGIN, "0.05+0x60"), (SLACK, "90000+0x60")],
            &[(30, None), (60, None)],
        ),
        case(
            ("RenewalSlackLow", "the tenant is without a token"),
            &[(MARGIN, "0.2+0x60"), (&refused, "1+0x60")],
            &[(30, None), (60, None)],
        ),
    ]
}

fn lapse() -> Vec<Case> {
    let alert = "SubscriptionsAboutToLapse";
    let summary = "Subscriptions of tenant calendars/contoso are about to lapse";
    let firing = Firing::new(TENANT, summary);
    vec![
        case(
            (alert, "a subscription nears its end"),
            &[(MARGIN, "0.2+0x5 0.05+0x20 1+0x30"), (SLACK, "9000+0x60")],
            &[(7, None), (9, Some(&firing)), (33, None)],
        ),
        case(
            (alert, "more are due than can be renewed in time"),
            &[(MARGIN, "0.3+0x60"), (SLACK, "100+0x5 -1+0x20 100+0x30")],
            &[(7, None), (9, Some(&firing)), (33, None)],
        ),
        case(
            (alert, "there is time"),
            &[(MARGIN, "0.11+0x60"), (SLACK, "1+0x60")],
            &[(30, None), (60, None)],
        ),
    ]
}

fn coverage() -> Vec<Case> {
    let active = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"}";
    let inactive = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"inactive\"}";
    let pending = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"pending\"}";
    let refused = tenant_has("EndpointRejected", "True", "ValidationFailed");
    let alert = "SubscriptionCoverageLow";
    let firing = Firing::new(
        TENANT,
        "20% of the subscriptions of tenant calendars/contoso are inactive",
    );
    vec![
        case(
            (
                alert,
                "a fifth of the subscriptions is inactive for a while",
            ),
            &[
                (active, "100+0x5 80+0x30 100+0x30"),
                (inactive, "_x6 20+0x30 stale"),
            ],
            &[(15, None), (17, Some(&firing)), (43, None)],
        ),
        case(
            (alert, "few of a small tenant are inactive"),
            &[(active, "6+0x60"), (inactive, "4+0x60")],
            &[(20, None), (60, None)],
        ),
        case(
            (alert, "few of a large tenant are inactive"),
            &[(active, "980+0x60"), (inactive, "20+0x60")],
            &[(20, None), (60, None)],
        ),
        case(
            (alert, "a new tenant waits for its first ones"),
            &[(active, "100+0x60"), (pending, "900+0x60")],
            &[(20, None), (60, None)],
        ),
        case(
            (alert, "Graph refuses the notification URL"),
            &[
                (active, "80+0x60"),
                (inactive, "20+0x60"),
                (&refused, "1+0x60"),
            ],
            &[(20, None), (60, None)],
        ),
    ]
}

fn vanishing() -> Vec<Case> {
    let vanished = "hybridcalendar_subscription_operations_total{operation=\"vanished\",tenant=\"calendars/contoso\",instance=\"10.0.0.1:9090\"}";
    let firing = Firing::new(
        TENANT,
        "10 subscriptions of tenant calendars/contoso were removed by somebody else within an hour",
    );
    vec![
        case(
            ("SubscriptionsVanishing", "ten are removed"),
            &[(vanished, "0+0x60 10+0x120")],
            &[(60, None), (90, Some(&firing)), (128, None)],
        ),
        case(
            ("SubscriptionsVanishing", "one is removed now and then"),
            &[(vanished, "0+0x29 1+0x29 2+0x29 3+0x29")],
            &[(60, None), (119, None)],
        ),
    ]
}

fn not_ready() -> Vec<Case> {
    let ready = |status: &str, reason: &str| {
        format!(
            "hybridcalendar_conditions{{kind=\"WorkspaceMailbox\",tenant=\"calendars/contoso\",type=\"Ready\",\
             status=\"{status}\",reason=\"{reason}\"}}"
        )
    };
    let working = ready("True", "Activated");
    let denied = ready("False", "Unauthorized");
    let domain = tenant_has("DomainMismatch", "True", "DomainNotVerified");
    let suspended = tenant_has("Ready", "Unknown", "Suspended");
    let active = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"}";
    let inactive = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"inactive\"}";
    let alert = "MailboxesNotReady";
    let firing = Firing::new(
        TENANT,
        "Many mailboxes of tenant calendars/contoso stopped working: 30% are not Ready",
    );
    let all = Firing::new(
        TENANT,
        "Many mailboxes of tenant calendars/contoso stopped working: 100% are not Ready",
    );
    let broken = [(&*working, "100+0x3 70+0x57"), (&*denied, "_x4 30+0x57")];
    let beside = |more: &[(&str, &str)], name: &str| {
        case(
            (alert, name),
            &[&broken, more].concat(),
            &[(20, None), (60, None)],
        )
    };
    vec![
        case(
            (alert, "an access policy shuts many out, then not any more"),
            &[
                (&working, "100+0x5 70+0x30 100+0x30"),
                (&denied, "_x6 30+0x30 stale"),
            ],
            &[(20, None), (22, Some(&firing)), (43, None)],
        ),
        case(
            (alert, "none works any more"),
            &[(&working, "100+0x5 stale"), (&denied, "_x6 100+0x60")],
            &[(20, None), (22, Some(&all))],
        ),
        case(
            (alert, "many never worked, which is no change"),
            &[(&working, "0+0x3 70+0x60"), (&denied, "_x4 30+0x60")],
            &[(20, None), (60, None)],
        ),
        case(
            (alert, "some of many do not work"),
            &[(&working, "100+0x5 85+0x60"), (&denied, "_x6 15+0x60")],
            &[(20, None), (60, None)],
        ),
        case(
            (alert, "few of few do not work"),
            &[(&working, "5+0x5 1+0x60"), (&denied, "_x6 4+0x60")],
            &[(20, None), (60, None)],
        ),
        beside(&[(&domain, "1+0x60")], "the tenant lost its domain"),
        beside(&[(&suspended, "1+0x60")], "the tenant is suspended"),
        beside(
            &[(active, "70+0x60"), (inactive, "30+0x60")],
            "their subscriptions are what is wrong, which another alert tells",
        ),
    ]
}

fn slow() -> Vec<Case> {
    let fast = "hybridcalendar_notification_response_seconds_bucket{le=\"3\",job=\"operator\",instance=\"10.0.0.1:9090\"}";
    let all = "hybridcalendar_notification_response_seconds_count{job=\"operator\",instance=\"10.0.0.1:9090\"}";
    // From version 3 on Prometheus writes the bucket so, whatever the program says.
    let rewritten = fast.replace("le=\"3\"", "le=\"3.0\"");
    let firing = Firing::new(
        &[("job", "operator")],
        "10% of the answers of hybrid-calendar-operator to notifications take longer than three seconds",
    );
    vec![
        case(
            (
                "ReceiverSlow",
                "a tenth of the answers is slow for half an hour",
            ),
            &[(fast, "0+10x10 109+9x30 389+10x40"), (all, "0+10x90")],
            &[(14, None), (30, Some(&firing)), (60, None)],
        ),
        case(
            ("ReceiverSlow", "Prometheus 3 writes the bucket as 3.0"),
            &[(&rewritten, "0+10x10 109+9x30 389+10x40"), (all, "0+10x90")],
            &[(14, None), (30, Some(&firing)), (60, None)],
        ),
        case(
            ("ReceiverSlow", "one of twenty is slow"),
            &[(fast, "0+19x60"), (all, "0+20x60")],
            &[(30, None), (60, None)],
        ),
        case(
            ("ReceiverSlow", "one of few is slow"),
            &[(fast, "0+0x10 1+0x50"), (all, "0+0x10 2+0x50")],
            &[(14, None), (17, None), (30, None)],
        ),
    ]
}

/// Cases that last for more than a week, in steps of half an hour.
pub(super) fn long_cases() -> Vec<Case> {
    const STEP: u32 = 30;
    const DAY: u32 = 48;
    const WEEK: u32 = 7 * DAY;
    let accepted = "hybridcalendar_notifications_total{result=\"accepted\",tenant=\"calendars/contoso\",instance=\"10.0.0.1:9090\"}";
    let last = "hybridcalendar_last_notification_timestamp_seconds{tenant=\"calendars/contoso\",instance=\"10.0.0.1:9090\"}";
    let active = "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"}";
    let suspended = tenant_has("Ready", "Unknown", "Suspended");
    // Thirty in each step until a step after a week, then for a day nothing, then as before.
    let stop = WEEK + 1;
    let counts = format!("0+30x{stop} {}+0x{DAY} {}+30x10", stop * 30, stop * 30 + 30);
    let instants = |step: u32| step * STEP * 60;
    let (ended, again) = (instants(stop), instants(stop + DAY + 2));
    let instants = format!("0+1800x{stop} {ended}+0x{DAY} {again}+1800x10");
    let always = format!("5+0x{}", stop + DAY + 20);
    let alert = "NotificationsSilent";
    let firing = Firing::new(
        TENANT,
        "Tenant calendars/contoso is silent: 180 notifications came a week ago at this time, none in the last three hours",
    );
    let series = [(accepted, &*counts), (last, &*instants), (active, &*always)];
    let quiet = [((stop + 12) * STEP, None), ((stop + 24) * STEP, None)];
    vec![
        case(
            (alert, "a busy tenant falls silent for a day"),
            &series,
            &[
                ((stop + 5) * STEP, None),
                ((stop + 9) * STEP, Some(&firing)),
                ((stop + DAY + 6) * STEP, None),
            ],
        ),
        case(
            (alert, "it was as quiet a week ago"),
            &[
                (accepted, &*format!("0+30x2 60+0x{}", stop + DAY)),
                (last, &*format!("3600+0x{}", stop + DAY)),
                (active, &*always),
            ],
            &quiet,
        ),
        case(
            (alert, "the tenant is suspended"),
            &[&series[..], &[(&*suspended, &*always)]].concat(),
            &quiet,
        ),
        case(
            (alert, "it has no subscription any more"),
            &series[..2],
            &quiet,
        ),
    ]
}

fn unavailable() -> Vec<Case> {
    let put_off = "hybridcalendar_notifications_total{result=\"unavailable\",tenant=\"\",job=\"operator\",instance=\"10.0.0.1:9090\"}";
    let all = "hybridcalendar_notification_response_seconds_count{job=\"operator\",instance=\"10.0.0.1:9090\"}";
    let alert = "ReceiverUnavailable";
    let firing = Firing::new(
        &[("job", "operator")],
        "The receiver of hybrid-calendar-operator puts 50% of the notifications off",
    );
    vec![
        case(
            (alert, "half of them are put off for half an hour"),
            &[(put_off, "0+0x10 5+5x30 155+0x40"), (all, "0+10x90")],
            &[(20, None), (40, Some(&firing)), (60, None)],
        ),
        case(
            (alert, "it starts, and puts some off until it has its key"),
            &[(put_off, "0 20+0x60"), (all, "0 20+0x60")],
            &[(5, None), (15, None), (30, None)],
        ),
        case(
            (alert, "few of many are put off"),
            &[(put_off, "0+1x60"), (all, "0+100x60")],
            &[(30, None), (60, None)],
        ),
    ]
}

fn missed() -> Vec<Case> {
    let event = |event: &str, tenant: &str, copy: u32| {
        format!(
            "hybridcalendar_lifecycle_events_total{{event=\"{event}\",tenant=\"{tenant}\",instance=\"10.0.0.{copy}:9090\"}}"
        )
    };
    let leader = event("missed", "calendars/contoso", 1);
    let other = event("missed", "", 2);
    let alert = "NotificationsMissed";
    let named = Firing::new(
        TENANT,
        "Graph could not deliver notifications of tenant calendars/contoso",
    );
    let nameless = Firing::new(&[], "Graph could not deliver notifications");
    vec![
        case(
            (alert, "Graph tells it once"),
            &[(&leader, "0+0x10 1+0x120")],
            &[
                (10, None),
                (12, Some(&named)),
                (60, Some(&named)),
                (80, None),
            ],
        ),
        case(
            (alert, "Graph tells it to a copy that does not lead"),
            &[(&other, "0+0x10 1+0x120")],
            &[(10, None), (12, Some(&nameless)), (80, None)],
        ),
        case(
            (alert, "Graph asks for something else"),
            &[
                (&leader, "0+0x60"),
                (
                    &event("reauthorizationRequired", "calendars/contoso", 1),
                    "0+5x60",
                ),
            ],
            &[(12, None), (60, None)],
        ),
    ]
}

fn forged() -> Vec<Case> {
    let forged = "hybridcalendar_notifications_total{result=\"forged\",tenant=\"\",job=\"operator\",instance=\"10.0.0.1:9090\"}";
    let unknown = "hybridcalendar_notifications_total{result=\"unknown\",tenant=\"\",job=\"operator\",instance=\"10.0.0.1:9090\"}";
    let firing = Firing::new(
        &[("job", "operator")],
        "20 notifications with a wrong signature came to hybrid-calendar-operator within a quarter of an hour",
    );
    vec![
        case(
            ("NotificationsForged", "twenty forged ones come at once"),
            &[(forged, "0+0x20 20+0x60")],
            &[(20, None), (30, Some(&firing)), (38, None)],
        ),
        case(
            (
                "NotificationsForged",
                "a few old ones and many unknown ones come",
            ),
            &[(forged, "0+0x20 3+0x60"), (unknown, "0+10x80")],
            &[(22, None), (30, None)],
        ),
    ]
}
