//! The flags of `rbac` as a person writes them.

use clap::Args;

use super::flags::InCluster;

/// Flags of `rbac`: those of `run` that decide what is needed, and who gets it.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// The operator's ServiceAccount; its namespace is the operator's own
    #[arg(long, value_name = "NS/NAME")]
    #[arg(default_value = "hybrid-calendar-operator/hybrid-calendar-operator")]
    pub service_account: String,

    /// As for run.
    #[command(flatten)]
    pub in_cluster: InCluster,

    /// Namespace in which tokens of ServiceAccounts may be requested, for workload identities; repeated or
    /// separated by commas, '*' for every namespace that is looked at; default: none
    #[arg(long, value_name = "NS", value_delimiter = ',')]
    pub workload_identity_namespace: Vec<String>,
}
