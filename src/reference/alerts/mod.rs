//! Alerts: one for each condition of the vocabulary, and those that watch the operator and its subscriptions.
//!
//! An alert says who must act and how, and nothing that another alert says already: what a tenant explains is left out
//! of its mailboxes' alerts by the expressions themselves, so that nobody has to configure Alertmanager for it.
//!
//! Series that only the leader shows vanish for some seconds when another copy begins to lead. No expression keeps the
//! labels of the copy, and [`BRIDGE`] keeps an alert that fires firing, so that a restart neither raises an alert nor
//! ends one.

mod conditions;
mod microsoft;
mod operator;
mod page;
mod rules;
mod subscriptions;

use std::time::Duration;

use crate::api::vocabulary::severity::Severity;

pub(super) use page::page;
pub(super) use rules::file;

/// Of every alert's name.
pub(super) const PREFIX: &str = "HybridCalendar";

/// Where the runbooks are; whoever publishes them elsewhere replaces this text in the rules.
pub(super) const RUNBOOKS: &str = crate::config::check::RUNBOOKS;

/// For so long an alert goes on firing when its series are gone: a new leader has taken over by then, and was scraped.
const BRIDGE: Duration = Duration::from_mins(5);

/// Something that somebody is told.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    /// With the prefix.
    pub(super) name: String,
    /// How soon somebody must act.
    pub(super) severity: Severity,
    /// What holds while there is something to tell, in PromQL.
    pub(super) expression: String,
    /// For how long it must hold.
    pub(super) after: Duration,
    /// For how long it goes on when it does not hold any more.
    pub(super) keep: Duration,
    /// What it is about and what is the matter, in a few words; Prometheus fills in the labels.
    pub(super) summary: String,
    /// What is the matter, who acts and what that person does; Prometheus fills in labels and reasons.
    pub(super) description: String,
    /// What is the matter, for a table.
    pub(super) meaning: String,
    /// Who acts, for a table.
    pub(super) acts: String,
    /// Its page, below [`RUNBOOKS`], without the ending.
    pub(super) runbook: String,
}

/// Alerts about the same kind of thing.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// As the rule file and the page call it.
    pub(super) name: &'static str,
    /// What it is about, for the page.
    pub(super) title: &'static str,
    /// Its alerts.
    pub(super) alerts: Vec<Alert>,
}

impl Alert {
    /// Where a person reads on.
    pub(super) fn runbook_url(&self) -> String {
        format!("{RUNBOOKS}/{}.md", self.runbook)
    }
}

/// Every alert.
pub(super) fn groups() -> Vec<Group> {
    let written = |alerts: &[&[operator::Written]]| -> Vec<Alert> {
        alerts.iter().copied().flatten().map(Alert::from).collect()
    };
    vec![
        Group {
            name: "hybrid-calendar-operator.tenants",
            title: "Tenants",
            alerts: conditions::of_tenants(),
        },
        Group {
            name: "hybrid-calendar-operator.mailboxes",
            title: "Mailboxes",
            alerts: conditions::of_mailboxes(),
        },
        Group {
            name: "hybrid-calendar-operator.operator",
            title: "The operator and its subscriptions",
            alerts: written(&[operator::ALERTS, subscriptions::ALERTS, microsoft::ALERTS]),
        },
    ]
}

/// As Prometheus writes it: the greatest unit that fits.
pub(super) fn prometheus_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 3600 == 0 && seconds > 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::vocabulary::{MAILBOX, TENANT};

    fn all() -> Vec<Alert> {
        groups()
            .into_iter()
            .flat_map(|group| group.alerts)
            .collect()
    }

    #[test]
    fn every_condition_and_every_unusable_spec_has_an_alert() {
        let runbooks: BTreeSet<String> = all().into_iter().map(|alert| alert.runbook).collect();
        let tenants = TENANT.iter().map(|meta| format!("tenant/{}", meta.type_));
        let mailboxes = MAILBOX.iter().map(|meta| format!("mailbox/{}", meta.type_));
        let stalled = ["tenant/Stalled", "mailbox/Stalled"].map(str::to_owned);
        for runbook in tenants.chain(mailboxes).chain(stalled) {
            assert!(runbooks.contains(&runbook), "{runbook}");
        }
    }

    #[test]
    fn a_name_is_used_once_and_says_whose_it_is() {
        let names: BTreeSet<String> = all().into_iter().map(|alert| alert.name).collect();
        assert_eq!(names.len(), all().len());
        for expected in [
            "HybridCalendarTenantUnauthorized",
            "HybridCalendarMailboxUnauthorized",
            "HybridCalendarMailboxNotFound",
            "HybridCalendarMailboxTenantNotReady",
            "HybridCalendarNoLeader",
        ] {
            assert!(names.contains(expected), "{expected}");
        }
    }

    #[test]
    fn every_alert_speaks_in_sentences_and_says_who_acts() {
        for alert in all() {
            let name = &alert.name;
            assert!(alert.meaning.ends_with('.'), "{name}: {}", alert.meaning);
            assert!(alert.description.contains("Who acts: "), "{name}");
            assert!(!alert.summary.ends_with('.'), "{name}: {}", alert.summary);
        }
    }

    #[test]
    fn a_permission_that_is_missing_silences_no_other_alert_as_a_whole() {
        for alert in all() {
            let silenced = alert.expression.lines().filter(|line| {
                line.starts_with("unless") && line.contains("kind=\"CalendarTenant\", type=")
            });
            for line in silenced.filter(|line| line.contains("Unauthorized")) {
                assert!(line.contains("reason"), "{}: {line}", alert.name);
            }
            assert!(!alert.expression.contains("NO_TOKEN"), "{}", alert.name);
            assert!(!alert.summary.contains("INSTALLATION"), "{}", alert.name);
        }
    }

    #[test]
    fn what_is_aggregated_or_matched_keeps_the_cluster() {
        for alert in all() {
            let expression = &alert.expression;
            let lists = expression.split(" by (").skip(1);
            let lists = lists.chain(expression.split(" on (").skip(1));
            for labels in lists.filter_map(|rest| rest.split(')').next()) {
                // What is absent everywhere has no label at all.
                let nowhere = labels.is_empty() && alert.name == "HybridCalendarOperatorDown";
                assert!(
                    nowhere || labels.starts_with("cluster, "),
                    "{}: {labels}",
                    alert.name
                );
            }
        }
    }

    #[test]
    fn durations_are_written_as_people_say_them() {
        let written = [3600, 900, 90].map(|s| prometheus_duration(Duration::from_secs(s)));
        assert_eq!(written, ["1h", "15m", "90s"]);
        assert_eq!(prometheus_duration(Duration::ZERO), "0m");
    }
}
