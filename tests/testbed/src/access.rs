//! ServiceAccounts that may do just what they should, and their kubeconfig files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{Api, DynamicObject, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Connection};
use crate::error::{Attempt, Error};
use crate::manifest;

const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// What a ServiceAccount may do.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// In all namespaces, and on what has no namespace.
    pub everywhere: Vec<PolicyRule>,
    /// By namespace.
    pub within: BTreeMap<String, Vec<PolicyRule>>,
}

impl Rights {
    /// Reads ClusterRoles and Roles; a Role without a namespace counts for `namespace`. Other kinds are skipped.
    pub fn parse(yaml: &str, namespace: &str) -> Result<Self, Error> {
        let mut rights = Self::default();
        for object in manifest::objects(yaml)? {
            match object.types.as_ref().map(|types| types.kind.as_str()) {
                Some("ClusterRole") => {
                    let role: ClusterRole = typed(object)?;
                    rights.everywhere.extend(role.rules.unwrap_or_default());
                }
                Some("Role") => {
                    let role: Role = typed(object)?;
                    let namespace = role.metadata.namespace.unwrap_or(namespace.to_owned());
                    let rules = rights.within.entry(namespace).or_default();
                    rules.extend(role.rules.unwrap_or_default());
                }
                Some(_) | None => {}
            }
        }
        Ok(rights)
    }
}

fn typed<K: DeserializeOwned>(object: DynamicObject) -> Result<K, Error> {
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::Document {
            what: "a role".to_owned(),
            message: error.to_string(),
        })
}

impl Cluster {
    /// Makes a ServiceAccount with these rights and no others. Returns the path of its kubeconfig file.
    pub async fn service_account(
        &self,
        namespace: &str,
        name: &str,
        rights: &Rights,
    ) -> Result<PathBuf, Error> {
        let mut documents = vec![json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        })];
        let account = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let role = format!("testbed-{namespace}-{name}");
        documents.extend(granted(
            "ClusterRole",
            &role,
            None,
            &rights.everywhere,
            &account,
        ));
        for (within, rules) in &rights.within {
            documents.extend(granted("Role", &role, Some(within), rules, &account));
        }
        let yaml: Vec<String> = documents.iter().map(Value::to_string).collect();
        self.apply(namespace, &yaml.join("\n---\n")).await?;
        let token = self.token(namespace, name).await?;
        self.kubeconfig_with_token(&format!("{namespace}-{name}"), &token)
    }

    async fn token(&self, namespace: &str, name: &str) -> Result<String, Error> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(self.admin().await?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .attempt(format!("request a token of {name}"))?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    fn kubeconfig_with_token(&self, name: &str, token: &str) -> Result<PathBuf, Error> {
        let cluster = self.current_cluster()?;
        let server = cluster["server"].as_str().unwrap_or_default().to_owned();
        let path = self.folder.join(format!("{name}.kubeconfig"));
        let connection = Connection {
            server: &server,
            cluster,
            user: json!({"token": token}),
            namespace: None,
        };
        connection.write(&path)?;
        Ok(path)
    }
}

/// A role and its binding; nothing when there are no rules.
fn granted(
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    rules: &[PolicyRule],
    account: &Value,
) -> Vec<Value> {
    if rules.is_empty() {
        return Vec::new();
    }
    let api_version = "rbac.authorization.k8s.io/v1";
    let metadata = match namespace {
        Some(namespace) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    vec![
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules}),
        json!({"apiVersion": api_version, "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": role, "subjects": account}),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_kept_apart_by_namespace() {
        let yaml = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: a}
rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, update]}]
";
        let rights = Rights::parse(yaml, "here").unwrap();
        assert_eq!(rights.everywhere.len(), 1);
        assert_eq!(rights.within["here"][0].verbs, ["get", "update"]);
    }
}
