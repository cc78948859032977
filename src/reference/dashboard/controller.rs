//! How the operator itself is doing.

use super::{Panel, PanelKind, Row, q};

/// The queue, reconciles, leadership, the process.
pub(super) fn row() -> Row {
    let of_ours = |metric: &str| {
        format!("max by (instance) ({metric} and on (job, instance) hybridcalendar_build_info)")
    };
    Row {
        title: "Controller",
        panels: vec![
            Panel::lines("Queue", "Objects that are due and wait, by class.", vec![q("max by (class) (hybridcalendar_queue_depth)", "{{class}}")]).kind(PanelKind::Stacked),
            Panel::lines("Longest wait in the queue", "For how long the first object that waits has been due, by class. Ten minutes are too long.", vec![q("max by (class) (hybridcalendar_queue_longest_wait_seconds)", "{{class}}")]).unit("s").steps(("green", &[(600.0, "red")])),
            Panel::lines("Checks that are late", "By how much the latest check is late, by tenant and kind. Some minutes after a restart are normal.", vec![q("max by (tenant, kind) (hybridcalendar_check_overdue_seconds{{T}})", "{{tenant}} {{kind}}")]).unit("s").steps(("green", &[(1800.0, "red")])),
            Panel::lines("Age of the oldest check", "Time since the object that waits longest was last checked, by tenant and kind.", vec![q("max by (tenant, kind) (hybridcalendar_oldest_check_age_seconds{{T}})", "{{tenant}} {{kind}}")]).unit("s"),
            Panel::lines("Reconciles", "Passes a second, by kind and outcome. Errors are statuses that the API server did not take.", vec![q("sum by (kind, outcome) (rate(hybridcalendar_reconcile_seconds_count[$__rate_interval]))", "{{kind}} {{outcome}}")]).unit("ops"),
            Panel::lines("Reconciles under way", "Passes that are under way in each copy, at most as many as --concurrency allows. For long at that limit means that the work waits for others.", vec![q("max by (instance) (hybridcalendar_reconciles_active)", "{{instance}}")]),
            Panel::lines("Duration of reconciles", "95 of 100 passes were faster, by kind.", vec![q("histogram_quantile(0.95, sum by (le, kind) (rate(hybridcalendar_reconcile_seconds_bucket[$__rate_interval])))", "{{kind}}")]).unit("s"),
            Panel::lines("Leader", "1 for the copy of each installation that leads.", vec![q("max by (namespace, instance) (hybridcalendar_leader)", "{{namespace}} {{instance}}")]),
            Panel::lines("Defects and losses", "Panics, lost wake-ups and log lines that could not be written within an hour. None is good.", vec![
                q("sum(increase(hybridcalendar_reconcile_panics_total[1h]))", "panics"),
                q("sum(increase(hybridcalendar_wake_lost_total[1h]))", "lost wake-ups"),
                q("sum(increase(hybridcalendar_log_lines_lost_total[1h]))", "lost log lines"),
            ]).steps(("green", &[(1.0, "red")])),
            Panel::lines("Events between copies", "Messages an hour with lifecycle events: sent by copies that do not lead, and received by the one that does. Other results than delivered and accepted are usual for seconds while the leader changes.", vec![
                q("sum by (result) (increase(hybridcalendar_wake_forwards_sent_total[1h]))", "sent: {{result}}"),
                q("sum by (result) (increase(hybridcalendar_wake_forwards_received_total[1h]))", "received: {{result}}"),
            ]),
            Panel::lines("Versions", "Copies by version. More than one for longer than a rollout takes means that it is stuck.", vec![q("count by (version) (hybridcalendar_build_info)", "{{version}}")]),
            Panel::lines("Memory", "Resident memory of each copy.", vec![q(&of_ours("process_resident_memory_bytes"), "{{instance}}")]).unit("bytes"),
            Panel::lines("CPU", "CPU seconds a second, of each copy.", vec![q(&of_ours("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}")]),
            Panel::lines("Open files", "File descriptors of each copy, which include its connections.", vec![q(&of_ours("process_open_fds"), "{{instance}}")]),
        ],
    }
}
