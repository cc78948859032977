//! The CustomResourceDefinitions, finished by what the derive cannot say.
//!
//! Knows nothing of what the fields lead to.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
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
        .map(finished)
        .collect()
}

fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            drop_nullable(schema);
            if let Some(status) = property(schema, &["status"]) {
                set_status_default(status);
            }
            let path = ["spec", "allowedNamespaces", "selector", "matchExpressions"];
            if let Some(expressions) = property(schema, &path) {
                check_label_expressions(expressions);
            }
        }
    }
    crd
}

fn property<'a>(schema: &'a mut JSONSchemaProps, path: &[&str]) -> Option<&'a mut JSONSchemaProps> {
    path.iter()
        .try_fold(schema, |at, name| at.properties.as_mut()?.get_mut(*name))
}

/// An object that no operator has looked at yet must not look reconciled (kstatus): `observedGeneration`
/// starts at -1.
fn set_status_default(status: &mut JSONSchemaProps) {
    status.default = Some(JSON(json!({"observedGeneration": -1})));
}

/// A field written as `null` means that it was left out: the API server drops it, so that no rule has to
/// tell the two apart.
fn drop_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        drop_nullable(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_nullable(items);
    }
}

/// What a label selector must look like to be usable; its own type leaves that to the reader.
fn check_label_expressions(expressions: &mut JSONSchemaProps) {
    expressions.max_items = Some(32);
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut expressions.items else {
        return;
    };
    item.x_kubernetes_validations = Some(vec![ValidationRule {
        rule: "self.operator in ['In', 'NotIn'] ? (has(self.values) && size(self.values) > 0) : \
               (!has(self.values) || size(self.values) == 0)"
            .to_owned(),
        message: Some(
            "spec.allowedNamespaces.selector.matchExpressions: In and NotIn need values, Exists and \
             DoesNotExist must have none."
                .to_owned(),
        ),
        ..ValidationRule::default()
    }]);
    if let Some(operator) = property(item, &["operator"]) {
        let known = ["In", "NotIn", "Exists", "DoesNotExist"];
        operator.enum_ = Some(known.iter().map(|o| JSON(json!(o))).collect());
    }
    if let Some(values) = property(item, &["values"]) {
        values.max_items = Some(64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_schema(visit: &mut impl FnMut(&str, &serde_json::Value)) {
        fn walk(
            path: &str,
            value: &serde_json::Value,
            visit: &mut impl FnMut(&str, &serde_json::Value),
        ) {
            visit(path, value);
            for (name, child) in value["properties"].as_object().into_iter().flatten() {
                walk(&format!("{path}.{name}"), child, visit);
            }
            if value["items"].is_object() {
                walk(&format!("{path}[]"), &value["items"], visit);
            }
        }
        for crd in all() {
            let crd = serde_json::to_value(&crd).unwrap();
            for version in crd["spec"]["versions"].as_array().unwrap() {
                let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
                walk(kind, &version["schema"]["openAPIV3Schema"], visit);
            }
        }
    }

    #[test]
    fn both_kinds_start_as_not_reconciled() {
        let mut found = 0;
        each_schema(&mut |path, schema| {
            if path.ends_with(".status") && path.matches('.').count() == 1 {
                assert_eq!(schema["default"], json!({"observedGeneration": -1}));
                found += 1;
            }
        });
        assert_eq!(found, 2);
    }

    #[test]
    fn every_field_is_described_bounded_in_spec_and_of_a_format_that_kubernetes_knows() {
        each_schema(&mut |path, schema| {
            let described = schema["description"].as_str().is_some_and(|d| d.len() > 3);
            assert!(
                described || path.ends_with("[]"),
                "{path} has no description"
            );
            assert!(schema.get("nullable").is_none(), "{path} is nullable");
            let format = schema["format"].as_str().unwrap_or("int64");
            assert!(
                ["int32", "int64", "date-time"].contains(&format),
                "{path} has format {format}"
            );
            let ours = path.contains(".spec.") && !path.contains(".selector.");
            let free_text = schema["type"] == "string" && schema.get("enum").is_none();
            if ours && free_text && schema.get("format").is_none() {
                assert!(schema.get("maxLength").is_some(), "{path} has no limit");
            }
            if ours && schema["type"] == "array" {
                assert!(schema.get("maxItems").is_some(), "{path} has no limit");
                assert!(schema.get("x-kubernetes-list-type").is_some(), "{path}");
            }
        });
    }

    #[test]
    fn every_rule_of_the_spec_names_its_field() {
        let mut rules = 0;
        each_schema(&mut |path, schema| {
            for rule in schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let field = path.split_once('.').unwrap().1.trim_end_matches("[]");
                let message = rule["message"].as_str().unwrap_or_default();
                assert!(message.contains(field), "{path}: {message}");
                rules += 1;
            }
        });
        assert!(rules > 15, "{rules} rules");
    }
}
