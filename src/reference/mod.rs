//! What is generated from the code for people to read and apply: the CRDs and the reference pages.
//!
//! Pure text out: the command line writes these files, a test compares them with the repository.

mod alerts;
mod api;
mod conditions;
mod dashboard;
mod flags;
mod metrics;
pub mod runbooks;

use crate::api::v1alpha1::crd;

/// A file that is generated, never edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Where it lives, from the root of the repository.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// What prevented a text from being made, which a test excludes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A definition has no YAML or JSON form.
    #[error("a CustomResourceDefinition could not be written")]
    Definition(#[source] serde_yaml_ng::Error),
    /// The rules have no YAML form.
    #[error("the alert rules could not be written")]
    Rules(#[source] serde_yaml_ng::Error),
    /// Two metrics have the same name.
    #[error("the metrics could not be registered")]
    Metrics(#[source] prometheus::Error),
}

const HEADER: &str = "# Generated from src/api by `make generate`. Do not edit.\n";

const CODE_HEADER: &str = "# Generated from the code by `make generate`. Do not edit.\n";

/// What the chart ships is a copy: a chart cannot read files outside its folder.
const CHART_FILES: &str = "charts/hybrid-calendar-operator/files";

const PAGE_HEADER: &str = "<!-- Generated from the code by `make generate`. Do not edit. -->\n\n";

/// The definitions of both kinds, one file each, ready for `kubectl apply`.
///
/// # Errors
/// When a definition has no YAML form, which a test excludes.
pub fn crds() -> Result<Vec<GeneratedFile>, Error> {
    crd::all()
        .iter()
        .map(|definition| {
            let name = &definition.spec.names.plural;
            let yaml = serde_yaml_ng::to_string(definition).map_err(Error::Definition)?;
            Ok(GeneratedFile {
                path: format!("crds/{}_{name}.yaml", definition.spec.group),
                content: format!("{HEADER}{yaml}"),
            })
        })
        .collect()
}

/// What the Helm chart carries along.
///
/// # Errors
/// As [`crds`].
pub fn chart() -> Result<Vec<GeneratedFile>, Error> {
    let copy = |file: GeneratedFile| GeneratedFile {
        path: format!("{CHART_FILES}/{}", file.path),
        content: file.content,
    };
    Ok(crds()?.into_iter().map(copy).collect())
}

/// The reference pages under `docs/reference/`.
///
/// # Errors
/// When a schema has no textual form or two metrics share a name, which a test excludes.
pub fn pages() -> Result<Vec<GeneratedFile>, Error> {
    let page = |name: &str, text: String| GeneratedFile {
        path: format!("docs/reference/{name}.md"),
        content: format!("{PAGE_HEADER}{text}"),
    };
    Ok(vec![
        page("alerts", alerts::page()),
        page("api", api::page()?),
        page("conditions", conditions::page()),
        page("flags", flags::page()),
        page("metrics", metrics::page()?),
    ])
}

/// What watches the operator, each once for whoever applies it by hand and once for the chart: the alert rules and
/// the dashboard.
///
/// # Errors
/// When the rules have no YAML form, which a test excludes.
pub fn monitoring() -> Result<Vec<GeneratedFile>, Error> {
    let rules = format!("{CODE_HEADER}{}", alerts::file()?);
    let dashboard = dashboard::file();
    let file = |folder: &str, name: &str, content: &str| GeneratedFile {
        path: format!("{folder}/{name}"),
        content: content.to_owned(),
    };
    Ok(vec![
        file("config/prometheus", "rules.yaml", &rules),
        file(CHART_FILES, "rules.yaml", &rules),
        file("config/grafana", "dashboard.json", &dashboard),
        file(CHART_FILES, "dashboard.json", &dashboard),
    ])
}

/// Everything that is generated.
///
/// # Errors
/// As [`crds`], [`chart`], [`pages`] and [`monitoring`].
pub fn files() -> Result<Vec<GeneratedFile>, Error> {
    Ok([crds()?, chart()?, pages()?, monitoring()?].concat())
}

/// Text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
