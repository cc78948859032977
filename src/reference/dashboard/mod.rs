//! The Grafana dashboard: rows of panels as data, made into JSON that Grafana imports.
//!
//! It finds its Prometheus by a variable, so that the same file is imported by hand or found by a sidecar. What is
//! about tenants follows the variables `namespace` and `tenant`; what is about a process knows no tenant.

mod controller;
mod json;
mod microsoft;
mod overview;
mod subscriptions;

pub(super) use json::file;

/// A row of the dashboard.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its heading.
    pub(super) title: &'static str,
    /// From left to right, then below.
    pub(super) panels: Vec<Panel>,
}

/// One picture.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What it shows and what is good, in sentences.
    pub(super) description: String,
    pub(super) kind: PanelKind,
    /// Grafana's name of the unit.
    pub(super) unit: &'static str,
    /// Of 24 columns.
    pub(super) width: u32,
    /// PromQL, and what the series are called.
    pub(super) queries: Vec<Query>,
    /// From which value on which colour holds; the first colour holds from the beginning.
    pub(super) steps: Steps,
}

/// A colour from the beginning, then others from values on.
pub(super) type Steps = (&'static str, &'static [(f64, &'static str)]);

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PanelKind {
    /// One number.
    Stat,
    /// Lines over time.
    Lines,
    /// Stacked areas over time.
    Stacked,
    /// A bar for each series.
    Bars,
    /// Rows with labels.
    Table,
}

/// A question to Prometheus.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) expression: String,
    pub(super) legend: &'static str,
}

/// Green whatever the value is.
pub(super) const PLAIN: Steps = ("green", &[]);

impl Panel {
    /// A third of a row of lines.
    fn lines(title: &'static str, description: &str, queries: Vec<Query>) -> Self {
        Self {
            title,
            description: description.to_owned(),
            kind: PanelKind::Lines,
            unit: "short",
            width: 8,
            queries,
            steps: PLAIN,
        }
    }

    /// One number, a sixth of a row.
    fn stat(title: &'static str, description: &str, query: &str) -> Self {
        Self {
            kind: PanelKind::Stat,
            width: 4,
            ..Self::lines(title, description, vec![q(query, "")])
        }
    }

    /// Others than it was made with.
    fn queries(self, queries: Vec<Query>) -> Self {
        Self { queries, ..self }
    }

    fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    fn steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    fn width(self, width: u32) -> Self {
        Self { width, ..self }
    }

    fn kind(self, kind: PanelKind) -> Self {
        Self { kind, ..self }
    }
}

/// A query; `{T}` stands for the labels that follow the variables.
fn q(expression: &str, legend: &'static str) -> Query {
    const CHOSEN: &str = "tenant=~\"($namespace)/.*\", tenant=~\"$tenant\"";
    Query {
        expression: expression.replace("{T}", CHOSEN),
        legend,
    }
}

/// All rows, from top to bottom.
fn rows() -> Vec<Row> {
    vec![
        overview::row(),
        overview::problems(),
        subscriptions::row(),
        subscriptions::receiver(),
        microsoft::row(),
        microsoft::credentials(),
        controller::row(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::Metrics;

    fn expressions() -> Vec<String> {
        let panels = rows().into_iter().flat_map(|row| row.panels);
        let queries = panels.flat_map(|panel| panel.queries);
        queries.map(|query| query.expression).collect()
    }

    #[test]
    fn every_metric_of_ours_is_on_it() {
        let all = expressions().join("\n");
        for metric in Metrics::new().unwrap().descriptions() {
            assert!(all.contains(&metric.name), "{}", metric.name);
        }
    }

    #[test]
    fn every_panel_says_in_sentences_what_is_good() {
        let mut titles = BTreeSet::new();
        for panel in rows().into_iter().flat_map(|row| row.panels) {
            assert!(panel.description.ends_with('.'), "{}", panel.title);
            assert!(titles.insert(panel.title), "{} is there twice", panel.title);
            assert!(panel.width <= 24 && !panel.queries.is_empty());
        }
    }
}
