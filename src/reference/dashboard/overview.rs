//! Whether all is well, and what is not.

use super::{Panel, PanelKind, Row, Steps, q};
use crate::api::vocabulary::{ConditionMeta, MAILBOX, TENANT};
use crate::reference::alerts::PREFIX;

/// None is good.
const NONE: Steps = ("green", &[(1.0, "red")]);

/// No series at all are none, as long as a leader is scraped, who would tell of some.
const OR_NONE: &str = " or 0 * max(hybridcalendar_leader == 1)";

/// Numbers at a glance.
pub(super) fn row() -> Row {
    let ready = |kind: &str, status: &str| {
        format!(
            "sum(hybridcalendar_conditions{{kind=\"{kind}\", type=\"Ready\", status=\"{status}\", {{T}}}}){OR_NONE}"
        )
    };
    Row {
        title: "Overview",
        panels: vec![
            Panel::stat("Tenants that work", "CalendarTenants that are Ready.", &ready("CalendarTenant", "True")),
            Panel::stat("Tenants that do not", "CalendarTenants that are not Ready. None is good.", &ready("CalendarTenant", "False")).steps(NONE),
            Panel::stat("Mailboxes that work", "WorkspaceMailboxes that are Ready.", &ready("WorkspaceMailbox", "True")),
            Panel::stat("Mailboxes that do not", "WorkspaceMailboxes that are not Ready. None is good.", &ready("WorkspaceMailbox", "False")).steps(NONE),
            Panel::stat("Not known", "Objects of which it could not be found out yet whether they work.", &format!("sum(hybridcalendar_conditions{{type=\"Ready\", status=\"Unknown\", reason!=\"Suspended\", {{T}}}}){OR_NONE}")).steps(("green", &[(1.0, "orange")])),
            Panel::stat("Firing alerts", "Alerts of this operator that fire now, if its rules are loaded. None is good.", &format!("count(ALERTS{{alertname=~\"{PREFIX}.*\", alertstate=\"firing\"}}){OR_NONE}")).steps(NONE),
            Panel::stat("Subscription coverage", "Share of the wanted subscriptions that are alive. All is good.", &format!("(sum(hybridcalendar_subscriptions{{state=\"active\", {{T}}}}){OR_NONE}) / sum(hybridcalendar_subscriptions{{{{T}}}})")).unit("percentunit").steps(("red", &[(0.98, "orange"), (0.995, "green")])),
            Panel::stat("First subscription ends in", "Time until the first subscription ends unless it is renewed.", "min(hybridcalendar_subscription_earliest_expiry_timestamp_seconds{{T}}) - time()").unit("s"),
            Panel::stat("Least life left", "The least share of a subscription's life that is left. Renewals begin at a third: less than a quarter means that one failed.", "min(hybridcalendar_renewal_margin_ratio{{T}})").unit("percentunit").steps(("red", &[(0.1, "orange"), (0.25, "green")])),
            Panel::stat("First credential ends in", "Time until the first credential ends, as far as that is known.", "min(hybridcalendar_credential_expiry_timestamp_seconds{{T}}) - time()").unit("s").steps(("red", &[(604_800.0, "orange"), (2_592_000.0, "green")])),
            Panel::stat("Copies that lead", "One copy of each installation leads. None: nothing is checked or renewed.", "").queries(vec![q("sum by (cluster, job, namespace) (hybridcalendar_leader)", "{{cluster}} {{namespace}}")]).steps(("red", &[(1.0, "green"), (2.0, "red")])),
            Panel::stat("Objects that are Ready", "Share of all tenants and mailboxes that are Ready, of those that are known.", &format!("(sum(hybridcalendar_conditions{{type=\"Ready\", status=\"True\", {{T}}}}){OR_NONE}) / sum(hybridcalendar_conditions{{type=\"Ready\", status!=\"Unknown\", {{T}}}})")).unit("percentunit").steps(("red", &[(0.9, "orange"), (1.0, "green")])),
        ],
    }
}

/// Which problems there are, since when, and whose they are.
pub(super) fn problems() -> Row {
    Row {
        title: "Problems",
        panels: vec![
            reasons("Problems of tenants", TENANT),
            reasons("Problems of mailboxes", MAILBOX),
            Panel::lines(
                "Objects with problems",
                "Every problem of every object now. The type leads to its runbook, which says who acts and how. Empty with --metrics-detail=tenant.",
                vec![q(
                    "label_join(label_replace(label_replace(max by (tenant, kind, namespace, name, type, reason) (hybridcalendar_condition{{T}}), \"folder\", \"tenant\", \"kind\", \"CalendarTenant\"), \"folder\", \"mailbox\", \"kind\", \"WorkspaceMailbox\"), \"runbook\", \"/\", \"folder\", \"type\")",
                    "",
                )],
            )
            .kind(PanelKind::Table)
            .width(24),
            Panel::lines(
                "Problems by tenant",
                "How many objects of each tenant have which problem now. The type leads to its runbook.",
                vec![q(
                    "label_join(label_replace(label_replace(sum by (tenant, kind, type, reason) (hybridcalendar_conditions{status=\"True\", type!=\"Ready\", {T}}), \"folder\", \"tenant\", \"kind\", \"CalendarTenant\"), \"folder\", \"mailbox\", \"kind\", \"WorkspaceMailbox\"), \"runbook\", \"/\", \"folder\", \"type\")",
                    "",
                )],
            )
            .kind(PanelKind::Table)
            .width(24),
            Panel::lines(
                "Objects that were Ready for the least time",
                "Share of the last day for which an object was Ready, of the twenty that have the least. Empty with --metrics-detail=tenant.",
                vec![q(
                    "sort(bottomk(20, avg by (kind, namespace, name) (avg_over_time(hybridcalendar_ready{{T}}[1d]))))",
                    "{{kind}} {{namespace}}/{{name}}",
                )],
            )
            .kind(PanelKind::Bars)
            .unit("percentunit")
            .steps(("red", &[(0.9, "orange"), (0.99, "green")]))
            .width(24),
        ],
    }
}

/// Reasons of the conditions of a kind over time, stacked.
fn reasons(title: &'static str, conditions: &[ConditionMeta]) -> Panel {
    let Some(first) = conditions.first() else {
        return Panel::lines(title, "", Vec::new());
    };
    let types: Vec<&str> = conditions
        .iter()
        .map(|meta| meta.type_.as_str())
        .chain(["Stalled"])
        .collect();
    let meanings: Vec<String> = conditions
        .iter()
        .map(|meta| format!("**{}**: {}", meta.type_, meta.type_.docs()))
        .collect();
    let expression = format!(
        "sum by (type, reason) (hybridcalendar_conditions{{kind=\"{}\", type=~\"{}\", status=\"True\", {{T}}}})",
        first.kind.as_str(),
        types.join("|")
    );
    let description = format!(
        "Objects by problem and reason. Nothing is good.\n\n{}",
        meanings.join("\n\n")
    );
    Panel::lines(
        title,
        &description,
        vec![q(&expression, "{{type}} {{reason}}")],
    )
    .kind(PanelKind::Stacked)
    .width(12)
}
