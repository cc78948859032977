//! The CustomResourceDefinitions, finished by what the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::mailbox::WorkspaceMailbox;
use super::tenant::CalendarTenant;

/// Both definitions, in the order in which they are installed.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    [CalendarTenant::crd(), WorkspaceMailbox::crd()]
        .into_iter()
        .map(with_status_default)
        .collect()
}

/// An object that no operator has looked at yet must not look reconciled (kstatus): `observedGeneration`
/// starts at -1.
fn with_status_default(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut());
        let status = schema
            .and_then(|s| s.properties.as_mut())
            .and_then(|p| p.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            status.nullable = None;
        }
    }
    crd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_have_a_status_default() {
        for crd in all() {
            let text = serde_json::to_string(&crd).unwrap();
            assert!(
                text.contains(r#""default":{"observedGeneration":-1}"#),
                "{text}"
            );
        }
    }
}
