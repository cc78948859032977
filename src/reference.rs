//! What is generated from the code for people to read and apply: the CRDs and the reference pages.
//!
//! Pure text in, text out: the command line writes these files, a test compares them with the repository.

use crate::api::v1alpha1::crd;

/// A file that is generated, never edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Where it lives, from the root of the repository.
    pub path: String,
    /// All of it.
    pub content: String,
}

const HEADER: &str =
    "# Generated from src/api by `UPDATE=1 cargo test --test it generated`. Do not edit.\n";

/// The definitions of both kinds, one file each, ready for `kubectl apply`.
///
/// # Errors
/// When a definition has no YAML form, which a test excludes.
pub fn crds() -> Result<Vec<GeneratedFile>, serde_yaml_ng::Error> {
    crd::all()
        .iter()
        .map(|definition| {
            let name = &definition.spec.names.plural;
            let yaml = serde_yaml_ng::to_string(definition)?;
            Ok(GeneratedFile {
                path: format!("crds/{}_{name}.yaml", definition.spec.group),
                content: format!("{HEADER}{yaml}"),
            })
        })
        .collect()
}
