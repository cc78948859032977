//! `crd`: the definitions as a YAML stream, for `kubectl apply -f -` and the repository's `crds/`.

use super::{Printable, documents};
use crate::api::v1alpha1::crd;

/// All definitions.
pub(super) fn yaml() -> Printable {
    documents(&crd::all())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn both_definitions_are_printed() {
        let text = yaml().unwrap();
        let kinds: Vec<_> = serde_yaml_ng::Deserializer::from_str(&text)
            .map(|document| serde_yaml_ng::Value::deserialize(document).unwrap())
            .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["CalendarTenant", "WorkspaceMailbox"]);
    }
}
