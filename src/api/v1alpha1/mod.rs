//! `hybridcalendar.dev/v1alpha1`.

pub mod condition;
pub mod crd;
pub mod mailbox;
pub mod rules;
pub mod tenant;
pub mod time;

/// API group.
pub const GROUP: &str = "hybridcalendar.dev";

/// A Secret whose owner offers it to the operator carries this label with the value `true`.
pub const CREDENTIAL_LABEL: &str = "hybridcalendar.dev/credential";

/// A ServiceAccount whose owner offers it carries this annotation with the tenant's `spec.clientId`.
pub const CLIENT_ID_ANNOTATION: &str = "azure.workload.identity/client-id";

/// Changing this annotation's value asks for a check now; it is echoed in `status.lastHandledReconcileAt`.
pub const REQUESTED_AT_ANNOTATION: &str = "hybridcalendar.dev/reconcile-requested-at";

/// Field manager of every write.
pub const FIELD_MANAGER: &str = "hybrid-calendar-operator";
