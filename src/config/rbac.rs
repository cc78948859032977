//! The flags of `rbac` as a person writes them.

use clap::Args;

/// Flags of `rbac`: those of `run` that decide what is needed, and who gets it.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Namespace to look at, repeated or separated by commas; default: all
    #[arg(
        long,
        env = "HYBRID_CALENDAR_NAMESPACE",
        value_name = "NS",
        value_delimiter = ','
    )]
    pub namespace: Vec<String>,

    /// The operator's ServiceAccount; its namespace is the operator's own
    #[arg(long, value_name = "NS/NAME")]
    #[arg(default_value = "hybrid-calendar-operator/hybrid-calendar-operator")]
    pub service_account: String,

    /// As for run: without election nothing about Leases is needed
    #[arg(
        long,
        env = "HYBRID_CALENDAR_LEADER_ELECT",
        value_name = "BOOL",
        default_value = "true"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: String,

    /// As for run: namespace of the Lease; default: that of the ServiceAccount
    #[arg(long, env = "HYBRID_CALENDAR_LEASE_NAMESPACE", value_name = "NS")]
    pub lease_namespace: Option<String>,

    /// As for run: name of the Lease; default: hybrid-calendar-operator
    #[arg(long, env = "HYBRID_CALENDAR_LEASE_NAME", value_name = "NAME")]
    pub lease_name: Option<String>,

    /// As for run: Secret with the keys that sign clientState; default: hybrid-calendar-operator-key in the namespace of
    /// the ServiceAccount
    #[arg(long, env = "HYBRID_CALENDAR_KEY_SECRET", value_name = "NS/NAME")]
    pub key_secret: Option<String>,

    /// Namespace in which tokens of ServiceAccounts may be requested, for workload identities; repeated or
    /// separated by commas, '*' for every namespace that is looked at; default: none
    #[arg(long, value_name = "NS", value_delimiter = ',')]
    pub workload_identity_namespace: Vec<String>,
}
