//! `CalendarTenant`: one Microsoft 365 tenant and the app registration through which the operator works in it.

#![expect(
    unreachable_pub,
    reason = "the schema derive expands to copies in private scopes"
)]

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::condition::{self, Condition};
use super::rules;
use super::time::Time;

/// What is declared about a tenant.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.isolationProbe) || !has(self.testMailbox) || self.isolationProbe.mailbox.lowerAscii() != self.testMailbox.lowerAscii()").message("spec.isolationProbe.mailbox must not be spec.testMailbox: one must be out of reach, in the other events are created."))]
#[kube(
    group = "hybridcalendar.dev",
    version = "v1alpha1",
    kind = "CalendarTenant",
    plural = "calendartenants",
    shortname = "ct",
    category = "all",
    category = "hybridcalendar",
    namespaced,
    status = "CalendarTenantStatus",
    derive = "PartialEq",
    doc = "One Microsoft 365 tenant and the app registration through which the operator works in it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Mailboxes",
        type_ = "string",
        json_path = ".status.mailboxes.summary",
        description = "Ready mailboxes of all that refer to this tenant."
    ),
    printcolumn(
        name = "Domain",
        type_ = "string",
        json_path = ".status.domains[?(@.default==true)].name",
        description = "The tenant's default domain."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Tenant-ID",
        type_ = "string",
        json_path = ".spec.tenantId",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CalendarTenantSpec {
    /// Entra tenant ID, a GUID. Immutable.
    #[x_kube(validation = rules::guid("spec.tenantId", "Find it in the Entra admin center under Overview."))]
    #[x_kube(validation = rules::immutable("spec.tenantId", "Create another CalendarTenant for another tenant."))]
    #[schemars(length(max = 64))]
    pub tenant_id: String,

    /// The Microsoft cloud that hosts the tenant. Immutable.
    #[serde(default)]
    #[x_kube(validation = rules::immutable("spec.cloud", "Create another CalendarTenant for a tenant of another cloud."))]
    pub cloud: Cloud,

    /// Base URLs for an emulator or a private cloud. They must be named by --allowed-endpoint of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// Application (client) ID of the app registration, a GUID.
    #[x_kube(validation = rules::guid("spec.clientId", "Find it in the app registration as Application (client) ID."))]
    #[schemars(length(max = 64))]
    pub client_id: String,

    /// How the operator authenticates: exactly one kind.
    pub credential: Credential,

    /// Verified domains whose mailboxes are accepted. Empty: all verified domains of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    #[x_kube(validation = rules::domains("spec.domains"))]
    #[schemars(length(max = 256), inner(length(max = 253)))]
    pub domains: Vec<String>,

    /// A mailbox in which the provisioning check creates, reads and deletes a marked event once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::one_address("spec.testMailbox"))]
    #[schemars(length(max = 320))]
    pub test_mailbox: Option<String>,

    /// Features in use. They decide which Graph permissions are needed.
    #[serde(default = "default_features")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    #[schemars(length(max = 16))]
    pub features: Vec<Feature>,

    /// A mailbox that must not be readable: proves that the application is limited to its mailboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_probe: Option<IsolationProbe>,

    /// Namespaces whose mailboxes may refer to this tenant.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// Defaults for the subscriptions of this tenant's mailboxes.
    #[serde(default)]
    pub subscription: TenantSubscription,

    /// How often everything is checked again: 5m to 24h.
    #[serde(default = "default_check_interval")]
    #[x_kube(validation = rules::duration("spec.checkInterval", "5m", "24h"))]
    #[schemars(length(max = 20))]
    pub check_interval: String,

    /// Stops all calls for this tenant, except the removal of deleted mailboxes' subscriptions.
    #[serde(default)]
    pub suspend: bool,
}

/// A Microsoft cloud.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum Cloud {
    /// The commercial cloud, GCC included.
    #[default]
    Worldwide,
    /// US government, GCC High (L4).
    USGovGCCHigh,
    /// US government, Department of Defense (L5).
    USGovDoD,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// As `spec.cloud` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worldwide => "Worldwide",
            Self::USGovGCCHigh => "USGovGCCHigh",
            Self::USGovDoD => "USGovDoD",
            Self::China => "China",
        }
    }
}

/// Base URLs instead of the cloud's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Base URL of the login host, without a tenant.
    #[x_kube(validation = rules::endpoint("spec.endpoints.login"))]
    #[schemars(length(max = 512))]
    pub login: String,
    /// Base URL of Graph, without /v1.0.
    #[x_kube(validation = rules::endpoint("spec.endpoints.graph"))]
    #[x_kube(validation = rules::without_version("spec.endpoints.graph"))]
    #[schemars(length(max = 512))]
    pub graph: String,
}

/// How the operator authenticates as the application. Exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.clientSecret), has(self.certificate), has(self.workloadIdentity)].filter(x, x).size() == 1").message("spec.credential must hold exactly one of clientSecret, certificate and workloadIdentity: add the one that you use, remove the others."))]
pub struct Credential {
    /// A client secret in a Secret of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecret>,
    /// A certificate in a kubernetes.io/tls Secret of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// A token of a ServiceAccount of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// A client secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientSecret {
    /// The Secret, which must carry the label hybridcalendar.dev/credential: "true".
    pub secret_ref: SecretKeyRef,
    /// When the secret ends, as the app registration shows it. Entra does not tell by itself; with it, the
    /// operator warns 30 days before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// One key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[x_kube(validation = rules::object_name("spec.credential.clientSecret.secretRef.name", "Secret"))]
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret that holds the value of the client secret (not its ID).
    #[serde(default = "default_secret_key")]
    #[x_kube(validation = rules::secret_key("spec.credential.clientSecret.secretRef.key"))]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// The Secret of type kubernetes.io/tls, which must carry the label hybridcalendar.dev/credential: "true".
    pub secret_ref: SecretRef,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[x_kube(validation = rules::object_name("spec.credential.certificate.secretRef.name", "Secret"))]
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Workload identity federation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// A ServiceAccount whose annotation azure.workload.identity/client-id equals spec.clientId.
    #[x_kube(validation = rules::object_name("spec.credential.workloadIdentity.serviceAccountName", "ServiceAccount"))]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: String,
}

/// A feature that needs Graph permissions of its own.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum Feature {
    /// Check that rooms are listed in Places.
    Places,
}

/// Proof that the application cannot read everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct IsolationProbe {
    /// Address of a mailbox that must not be readable.
    #[x_kube(validation = rules::one_address("spec.isolationProbe.mailbox"))]
    #[schemars(length(max = 320))]
    pub mailbox: String,
}

/// Which namespaces may refer to a tenant, as in Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)").message("spec.allowedNamespaces.selector goes with from: Selector, and only with it: add it, or change spec.allowedNamespaces.from."))]
pub struct AllowedNamespaces {
    /// Same namespace only, all namespaces, or those whose labels match the selector.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Selects namespaces by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Where references may come from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum FromNamespaces {
    /// The tenant's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces with certain labels.
    Selector,
}

/// Defaults for subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct TenantSubscription {
    /// Requested life: 45m to 10070m. Graph may grant less.
    #[serde(default = "default_lifetime")]
    #[x_kube(validation = rules::duration("spec.subscription.lifetime", "45m", "10070m"))]
    #[schemars(length(max = 20))]
    pub lifetime: String,
}

impl Default for TenantSubscription {
    fn default() -> Self {
        Self {
            lifetime: default_lifetime(),
        }
    }
}

fn default_lifetime() -> String {
    "160h".to_owned()
}

fn default_check_interval() -> String {
    "1h".to_owned()
}

fn default_secret_key() -> String {
    "client-secret".to_owned()
}

fn default_features() -> Vec<Feature> {
    vec![Feature::Places]
}

/// What the operator found out about a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarTenantStatus {
    /// The generation that is Ready, Stalled or suspended; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What was looked at and found: Ready sums up, every other type names a problem.
    #[serde(default, skip_serializing_if = "condition::none_is_there")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Arc<[Condition]>,
    /// The organization behind the tenant ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Organization>,
    /// The tenant's domains, as Microsoft 365 has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub domains: Vec<Domain>,
    /// Graph permissions of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// The credential in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialStatus>,
    /// Mailboxes that refer to this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailboxes: Option<MailboxCounts>,
    /// The last value of hybridcalendar.dev/reconcile-requested-at that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<Arc<str>>,
}

/// The organization behind a tenant ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// Name that people know.
    pub display_name: String,
    /// Its object id, the same as spec.tenantId.
    pub id: String,
}

/// A domain of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Domain {
    /// Fully qualified name.
    pub name: String,
    /// Whether it is the default domain.
    pub default: bool,
    /// Whether its ownership is proven.
    pub verified: bool,
}

/// Graph permissions by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Permissions {
    /// Named by the application's token. Rights that Exchange grants do not show here.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub granted: Vec<String>,
    /// Needed by what the spec asks for, and not granted.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub missing: Vec<String>,
    /// Granted, and needed by nothing: remove them.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub excess: Vec<String>,
}

/// The credential in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// `ClientSecret`, `Certificate` or `WorkloadIdentity`.
    pub kind: String,
    /// When it ends, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// How many mailboxes refer to a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct MailboxCounts {
    /// Mailboxes that refer to this tenant.
    pub total: i32,
    /// Those of them that are Ready.
    pub ready: i32,
    /// `ready/total`, for the table.
    pub summary: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_spec_has_the_defaults_of_the_schema() {
        let smallest = json!({
            "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
            "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
            "credential": {"clientSecret": {"secretRef": {"name": "contoso"}}},
        });
        let spec: CalendarTenantSpec = serde_json::from_value(smallest).unwrap();
        assert_eq!(spec.cloud, Cloud::Worldwide);
        assert_eq!(spec.features, [Feature::Places]);
        assert_eq!(spec.subscription, TenantSubscription::default());
        assert_eq!(spec.allowed_namespaces, AllowedNamespaces::default());
        assert_eq!(spec.check_interval, "1h");
        let secret = spec.credential.client_secret.unwrap();
        assert_eq!(secret.secret_ref.key, "client-secret");
    }

    #[test]
    fn clouds_are_spelt_as_in_the_schema() {
        let clouds = [
            Cloud::Worldwide,
            Cloud::USGovGCCHigh,
            Cloud::USGovDoD,
            Cloud::China,
        ];
        for cloud in clouds {
            assert_eq!(serde_json::to_value(cloud).unwrap(), cloud.as_str());
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_not_null() {
        let written = serde_json::to_value(CalendarTenantStatus::default()).unwrap();
        assert_eq!(written, json!({}));
    }
}
