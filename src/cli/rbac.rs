//! `rbac`: exactly what the operator may do in the cluster. `grants` is the one list of it: the chart is
//! made from it and the tests run with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{Printable, documents};
use crate::api::v1alpha1::GROUP;
use crate::config::flags::Flags as RunFlags;
use crate::config::rbac::Flags;
use crate::config::validate::{is_label, is_subdomain};
use crate::config::{Config, Election, Problems, Scope};
use crate::ids::ObjectKey;

/// Who gets access to what.
#[derive(Clone, Debug)]
pub struct Access {
    /// The operator's identity.
    pub service_account: ObjectKey,
    /// Where it looks.
    pub scope: Scope,
    /// Where it may request tokens of ServiceAccounts; nothing: nowhere.
    pub tokens: Option<Scope>,
    /// Its Lease; nothing: it elects nobody.
    pub lease: Option<ObjectKey>,
    /// Its key Secret.
    pub key_secret: ObjectKey,
}

impl Flags {
    /// Checks the flags by the rules of `run`.
    ///
    /// # Errors
    /// All problems together.
    pub(super) fn access(&self) -> Result<Access, Problems> {
        let (namespace, name) = match self.service_account.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_subdomain(name) => {
                (namespace, name)
            }
            Some(_) | None => {
                return Err(Problems(vec![format!(
                    "--service-account {:?} is not NAMESPACE/NAME of a ServiceAccount",
                    self.service_account
                )]));
            }
        };
        let flags = RunFlags {
            in_cluster: self.in_cluster.clone(),
            ..RunFlags::for_defaults("https://receiver.example")
        };
        let config = Config::new(&flags, namespace)?;
        let tokens = tokens(&self.workload_identity_namespace, &config.scope)?;
        let lease = match config.election {
            Election::Lease(key) => Some(key),
            Election::Off => None,
        };
        Ok(Access {
            service_account: ObjectKey::new(namespace, name),
            scope: config.scope,
            tokens,
            lease,
            key_secret: config.key_secret,
        })
    }
}

/// Where tokens of ServiceAccounts may be requested: only where somebody looks.
fn tokens(names: &[String], scope: &Scope) -> Result<Option<Scope>, Problems> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if names.contains(&"*") {
        return Ok(Some(scope.clone()));
    }
    let wrong = |name: &&&str| !is_label(name) || !scope.contains(name);
    let problems: Vec<String> = names
        .iter()
        .filter(wrong)
        .map(|name| {
            format!("--workload-identity-namespace {name:?} is not a namespace that is looked at: name it by --namespace too")
        })
        .collect();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let names = names.into_iter().map(Arc::from).collect();
    Ok(Some(Scope::Namespaces(names))
        .filter(|tokens| *tokens != Scope::Namespaces(BTreeSet::new())))
}

/// Where a rule is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In every namespace that is looked at.
    Watched,
    /// On objects that are in no namespace.
    Cluster,
    /// In the namespace of the Lease.
    Lease,
    /// In the namespace of the key Secret.
    Keys,
    /// In every namespace with workload identities.
    Tokens,
}

/// The list: everything that the operator may do.
fn grants(access: &Access) -> Vec<(Place, PolicyRule)> {
    let kinds = ["calendartenants", "workspacemailboxes"];
    let status = ["calendartenants/status", "workspacemailboxes/status"];
    let keys = Some(&*access.key_secret.name);
    let mut grants = vec![
        (Place::Watched, rule(GROUP, &kinds, READ, None)),
        // While an upgrade is under way an earlier version may lead, which patches.
        (
            Place::Watched,
            rule(GROUP, &status, &["patch", "update"], None),
        ),
        (
            Place::Watched,
            rule("events.k8s.io", &["events"], &["create", "patch"], None),
        ),
        // Watched as metadata; credentials are read when they are used.
        (Place::Watched, rule("", &["secrets"], READ, None)),
        (
            Place::Watched,
            rule("", &["serviceaccounts"], &["get"], None),
        ),
        // Kubernetes cannot limit this to the ServiceAccounts that were offered.
        (
            Place::Tokens,
            rule("", &["serviceaccounts/token"], &["create"], None),
        ),
        // A name cannot be demanded of what does not exist yet.
        (Place::Keys, rule("", &["secrets"], &["create"], None)),
        (
            Place::Keys,
            rule("", &["secrets"], &["get", "list", "watch", "update"], keys),
        ),
    ];
    if let Some(lease) = &access.lease {
        let ours = Some(&*lease.name);
        let (create, keep) = (&["create"], &["get", "update"]);
        grants.push((Place::Lease, rule(LEASES, &["leases"], create, None)));
        grants.push((Place::Lease, rule(LEASES, &["leases"], keep, ours)));
    }
    // Labels of namespaces decide `allowedNamespaces`; the UID of kube-system names the cluster.
    match &access.scope {
        Scope::All => grants.push((Place::Cluster, rule("", &["namespaces"], READ, None))),
        Scope::Namespaces(names) => {
            grants.push((
                Place::Cluster,
                rule("", &["namespaces"], &["get"], Some("kube-system")),
            ));
            for name in names {
                grants.push((Place::Cluster, rule("", &["namespaces"], READ, Some(name))));
            }
        }
    }
    grants
}

const READ: &[&str] = &["get", "list", "watch"];
const LEASES: &str = "coordination.k8s.io";

fn rule(group: &str, resources: &[&str], verbs: &[&str], name: Option<&str>) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        resource_names: name.map(|name| vec![name.to_owned()]),
        verbs: owned(verbs),
        non_resource_urls: None,
    }
}

/// One object to apply.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Manifest {
    /// Rules for the whole cluster.
    ClusterRole(ClusterRole),
    /// Who has them.
    ClusterRoleBinding(ClusterRoleBinding),
    /// Rules in one namespace.
    Role(Role),
    /// Who has them.
    RoleBinding(RoleBinding),
}

/// The objects that give `access`, in the order in which they are applied.
#[must_use]
pub fn manifests(access: &Access) -> Vec<Manifest> {
    let name = &*access.service_account.name;
    let grants = grants(access);
    let rules = |places: &[Place]| -> Vec<PolicyRule> {
        grants
            .iter()
            .filter(|(place, _)| places.contains(place))
            .map(|(_, rule)| rule.clone())
            .collect()
    };
    let mut manifests = Vec::new();
    match &access.scope {
        Scope::All => {
            let rules = rules(&[Place::Watched, Place::Cluster]);
            manifests.extend(cluster_wide(access, name, rules));
        }
        Scope::Namespaces(namespaces) => {
            manifests.extend(cluster_wide(access, name, rules(&[Place::Cluster])));
            for namespace in namespaces {
                let key = ObjectKey::new(&**namespace, name);
                manifests.extend(within(access, &key, rules(&[Place::Watched])));
            }
        }
    }
    let with_tokens = format!("{name}-tokens");
    match &access.tokens {
        None => {}
        Some(Scope::All) => {
            manifests.extend(cluster_wide(access, &with_tokens, rules(&[Place::Tokens])));
        }
        Some(Scope::Namespaces(namespaces)) => {
            for namespace in namespaces {
                let key = ObjectKey::new(&**namespace, &*with_tokens);
                manifests.extend(within(access, &key, rules(&[Place::Tokens])));
            }
        }
    }
    if let Some(lease) = &access.lease {
        let election = ObjectKey::new(&*lease.namespace, format!("{name}-election"));
        manifests.extend(within(access, &election, rules(&[Place::Lease])));
    }
    let keys = ObjectKey::new(&*access.key_secret.namespace, format!("{name}-keys"));
    manifests.extend(within(access, &keys, rules(&[Place::Keys])));
    manifests
}

/// [`manifests`] as YAML.
pub(super) fn yaml(access: &Access) -> Printable {
    documents(&manifests(access))
}

fn cluster_wide(access: &Access, name: &str, rules: Vec<PolicyRule>) -> [Manifest; 2] {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let role = ClusterRole {
        metadata: metadata.clone(),
        rules: Some(rules),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: role_ref(&role),
        subjects: Some(vec![subject(access)]),
    };
    [
        Manifest::ClusterRole(role),
        Manifest::ClusterRoleBinding(binding),
    ]
}

fn within(access: &Access, key: &ObjectKey, rules: Vec<PolicyRule>) -> [Manifest; 2] {
    let metadata = ObjectMeta {
        namespace: Some(key.namespace.to_string()),
        name: Some(key.name.to_string()),
        ..ObjectMeta::default()
    };
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(rules),
    };
    let binding = RoleBinding {
        metadata,
        role_ref: role_ref(&role),
        subjects: Some(vec![subject(access)]),
    };
    [Manifest::Role(role), Manifest::RoleBinding(binding)]
}

fn role_ref<R: Resource<DynamicType = ()>>(role: &R) -> RoleRef {
    RoleRef {
        api_group: R::group(&()).into_owned(),
        kind: R::kind(&()).into_owned(),
        name: role.name_any(),
    }
}

fn subject(access: &Access) -> Subject {
    Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: access.service_account.name.to_string(),
        namespace: Some(access.service_account.namespace.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn printed(arguments: &[&str]) -> String {
        let command = Command::parse_from(["rbac"].iter().chain(arguments));
        yaml(&command.flags.access().unwrap()).unwrap()
    }

    #[test]
    fn all_namespaces_take_one_cluster_role() {
        insta::assert_snapshot!(printed(&["--service-account=calendars/operator"]));
    }

    #[test]
    fn named_namespaces_take_roles_and_almost_nothing_cluster_wide() {
        insta::assert_snapshot!(printed(&[
            "--namespace=rooms,offices",
            "--key-secret=keys/mine",
            "--lease-name=leader",
            "--workload-identity-namespace=rooms",
        ]));
    }

    /// The kinds and namespaces of the objects that let tokens be requested.
    fn where_tokens_are_requested(arguments: &[&str]) -> Vec<String> {
        let command = Command::parse_from(["rbac"].iter().chain(arguments));
        let has_rule = |rules: &Option<Vec<PolicyRule>>| format!("{rules:?}").contains("/token");
        let place = |manifest: &Manifest| match manifest {
            Manifest::ClusterRole(role) if has_rule(&role.rules) => Some("*".to_owned()),
            Manifest::Role(role) if has_rule(&role.rules) => role.metadata.namespace.clone(),
            Manifest::ClusterRole(_)
            | Manifest::Role(_)
            | Manifest::ClusterRoleBinding(_)
            | Manifest::RoleBinding(_) => None,
        };
        let manifests = manifests(&command.flags.access().unwrap());
        manifests.iter().filter_map(place).collect()
    }

    #[test]
    fn tokens_are_requested_only_where_somebody_said_so() {
        let scope = "--namespace=rooms,offices";
        let cases: [(&[&str], &[&str]); 5] = [
            (&[], &[]),
            (&["--workload-identity-namespace=rooms"], &["rooms"]),
            (&["--workload-identity-namespace=*"], &["*"]),
            (&[scope], &[]),
            (
                &[scope, "--workload-identity-namespace=*"],
                &["offices", "rooms"],
            ),
        ];
        for (arguments, expected) in cases {
            assert_eq!(
                where_tokens_are_requested(arguments),
                expected,
                "{arguments:?}"
            );
        }
        let outside = ["rbac", scope, "--workload-identity-namespace=elsewhere"];
        let refused = Command::parse_from(outside).flags.access().unwrap_err();
        assert!(refused.to_string().contains("\"elsewhere\""), "{refused}");
    }

    #[test]
    fn who_elects_nobody_gets_no_lease() {
        for (arguments, expected) in [
            (&[][..], true),
            (&["--leader-elect=true"], true),
            (&["--leader-elect=false"], false),
        ] {
            let printed = printed(arguments);
            assert_eq!(printed.contains("leases"), expected, "{arguments:?}");
        }
    }

    #[test]
    fn nothing_but_status_and_our_own_objects_is_ever_written() {
        for arguments in [&[][..], &["--namespace=rooms"]] {
            let command = Command::parse_from(["rbac"].iter().chain(arguments));
            for (place, rule) in grants(&command.flags.access().unwrap()) {
                let writes = rule.verbs.iter().any(|verb| !READ.contains(&verb.as_str()));
                let resource = &rule.resources.as_ref().unwrap()[0];
                let expected = match place {
                    Place::Lease | Place::Keys => true,
                    Place::Tokens => resource == "serviceaccounts/token",
                    Place::Cluster => false,
                    Place::Watched => resource.ends_with("/status") || resource == "events",
                };
                assert!(!writes || expected, "{place:?} {rule:?}");
            }
        }
    }
}
