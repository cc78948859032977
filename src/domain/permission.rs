//! Who may refer to a tenant: `spec.allowedNamespaces`, as in Gateway API.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::v1alpha1::tenant::{AllowedNamespaces, FromNamespaces};

/// Labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// The label with its own name that the API server gives every namespace.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether objects in `namespace` with these labels may refer to a tenant in namespace `home`.
///
/// Labels that are not known yet count as none, so that nothing is allowed by ignorance.
#[must_use]
pub fn permits(
    allowed: &AllowedNamespaces,
    home: &str,
    namespace: &str,
    labels: Option<&Labels>,
) -> bool {
    if home == namespace {
        return true;
    }
    match allowed.from {
        FromNamespaces::Same => false,
        FromNamespaces::All => true,
        FromNamespaces::Selector => match (&allowed.selector, labels) {
            (Some(selector), Some(labels)) => selects(selector, labels),
            (Some(_) | None, _) => false,
        },
    }
}

/// What a selector says of a namespace of which only the name is known; none when other labels decide.
#[must_use]
pub fn selects_by_name(selector: &LabelSelector, namespace: &str) -> Option<bool> {
    let labels = Labels::from([(NAME_LABEL.to_owned(), namespace.to_owned())]);
    let (mut by_name, mut others) = (LabelSelector::default(), false);
    for (name, value) in selector.match_labels.iter().flatten() {
        if name == NAME_LABEL {
            let known = by_name.match_labels.get_or_insert_default();
            known.insert(name.clone(), value.clone());
        } else {
            others = true;
        }
    }
    for requirement in selector.match_expressions.iter().flatten() {
        if requirement.key == NAME_LABEL {
            let known = by_name.match_expressions.get_or_insert_default();
            known.push(requirement.clone());
        } else {
            others = true;
        }
    }
    match (selects(&by_name, &labels), others) {
        (false, _) => Some(false),
        (true, false) => Some(true),
        (true, true) => None,
    }
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(name, value)| labels.get(name) == Some(value));
    equal
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|v| v == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => value.is_none_or(|value| !listed(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> AllowedNamespaces {
        AllowedNamespaces {
            from: FromNamespaces::Selector,
            selector: Some(serde_json::from_str(text).unwrap()),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_own_namespace_is_always_permitted() {
        assert!(permits(&AllowedNamespaces::default(), "a", "a", None));
        assert!(!permits(&AllowedNamespaces::default(), "a", "b", None));
    }

    #[test]
    fn a_selector_decides_by_labels_and_unknown_labels_permit_nothing() {
        let rooms = selector(r#"{"matchLabels": {"team": "rooms"}}"#);
        assert!(permits(
            &rooms,
            "a",
            "b",
            Some(&labels(&[("team", "rooms")]))
        ));
        assert!(!permits(
            &rooms,
            "a",
            "b",
            Some(&labels(&[("team", "other")]))
        ));
        assert!(!permits(&rooms, "a", "b", None));
    }

    #[test]
    fn every_operator_of_a_label_selector_is_understood() {
        let cases = [
            (
                r#"{"key": "x", "operator": "In", "values": ["1"]}"#,
                true,
                false,
            ),
            (
                r#"{"key": "x", "operator": "NotIn", "values": ["1"]}"#,
                false,
                true,
            ),
            (r#"{"key": "x", "operator": "Exists"}"#, true, false),
            (r#"{"key": "x", "operator": "DoesNotExist"}"#, false, true),
            (r#"{"key": "x", "operator": "FromTheFuture"}"#, false, false),
        ];
        for (expression, with, without) in cases {
            let allowed = selector(&format!(r#"{{"matchExpressions": [{expression}]}}"#));
            assert_eq!(
                permits(&allowed, "a", "b", Some(&labels(&[("x", "1")]))),
                with,
                "{expression}"
            );
            assert_eq!(
                permits(&allowed, "a", "b", Some(&labels(&[]))),
                without,
                "{expression}"
            );
        }
    }

    #[test]
    fn the_name_of_a_namespace_decides_alone_where_nothing_else_is_asked() {
        for (text, decided) in [
            (
                r#"{"matchLabels": {"kubernetes.io/metadata.name": "rooms"}}"#,
                Some(true),
            ),
            (
                r#"{"matchLabels": {"kubernetes.io/metadata.name": "others"}}"#,
                Some(false),
            ),
            (
                r#"{"matchLabels": {"kubernetes.io/metadata.name": "others", "team": "rooms"}}"#,
                Some(false),
            ),
            (
                r#"{"matchLabels": {"kubernetes.io/metadata.name": "rooms", "team": "rooms"}}"#,
                None,
            ),
            (
                r#"{"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In",
                    "values": ["rooms", "desks"]}]}"#,
                Some(true),
            ),
            (
                r#"{"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}"#,
                None,
            ),
            ("{}", Some(true)),
        ] {
            let selector = serde_json::from_str(text).unwrap();
            assert_eq!(selects_by_name(&selector, "rooms"), decided, "{text}");
        }
    }
}
