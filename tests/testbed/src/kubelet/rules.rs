//! What a pod must be for us to play it. The rest of Pod Security is enforced by the API server, where a namespace is
//! labelled so.

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// Why a pod is not run.
pub(super) fn refusal(spec: &PodSpec) -> Option<String> {
    if spec.containers.len() != 1 || spec.init_containers.as_ref().is_some_and(|c| !c.is_empty()) {
        return Some("only pods of one container are played".to_owned());
    }
    let unlimited: Vec<String> = spec.containers.iter().flat_map(without_limits).collect();
    if unlimited.is_empty() {
        return None;
    }
    Some(format!("the container must say {}", unlimited.join(", ")))
}

/// A container without these can starve its node, or be the first to be killed there.
fn without_limits(container: &Container) -> Vec<String> {
    let resources = container.resources.clone().unwrap_or_default();
    let says = |map: &Option<std::collections::BTreeMap<String, _>>, name: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(name))
    };
    [
        ("requests.cpu", says(&resources.requests, "cpu")),
        ("requests.memory", says(&resources.requests, "memory")),
        ("limits.memory", says(&resources.limits, "memory")),
    ]
    .into_iter()
    .filter(|(_, said)| !said)
    .map(|(name, _)| format!("resources.{name}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(spec: Value) -> Option<String> {
        refusal(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_pod_has_one_container_that_says_what_it_needs() {
        let good = json!({"name": "a", "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"},
        }});
        assert_eq!(verdict(json!({"containers": [good]})), None);
        let two = json!({"containers": [good, good]});
        assert!(verdict(two).unwrap().contains("one container"));
        let first = json!({"containers": [good], "initContainers": [good]});
        assert!(verdict(first).unwrap().contains("one container"));
        let greedy = verdict(json!({"containers": [{"name": "a", "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1"},
        }}]}));
        let expected = "the container must say resources.limits.memory";
        assert_eq!(greedy.as_deref(), Some(expected));
    }
}
