//! The flags of `run` as a person or a chart writes them.
//!
//! Every value is text here, so that all mistakes are reported together instead of one for each start:
//! only `--help` and misspelt flag names are left to the parser.

use clap::builder::{OsStr, Resettable};
use clap::{Args, Command, FromArgMatches};

/// The Kubernetes client reports each failed call as an error of its own; what matters of them is logged by us.
pub(crate) const DEFAULT_LOG_FILTER: &str = "info,kube_client=off";

/// Flags that every command has that calls Microsoft: which hosts it may call, and whom it trusts.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Endpoint that spec.endpoints may name besides Microsoft's own, repeated or separated by commas;
    /// compared by scheme, host and port (http only for loopback)
    #[arg(
        long,
        env = "HYBRID_CALENDAR_ALLOWED_ENDPOINT",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub allowed_endpoint: Vec<String>,

    /// File with certificates in PEM to trust for Graph and login, besides the usual ones
    #[arg(long, env = "HYBRID_CALENDAR_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<String>,
}

/// Flags that decide what the operator may do in the cluster: `rbac` has them too, and prints just that.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct InCluster {
    /// Namespace to look at, repeated or separated by commas; default: all
    #[arg(
        long,
        env = "HYBRID_CALENDAR_NAMESPACE",
        value_name = "NS",
        value_delimiter = ','
    )]
    pub namespace: Vec<String>,

    /// Elect a leader with a Lease, so that several copies can run: true or false
    #[arg(
        long,
        env = "HYBRID_CALENDAR_LEADER_ELECT",
        value_name = "BOOL",
        default_value = "true"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: String,

    /// Namespace of the Lease; default: the operator's own
    #[arg(long, env = "HYBRID_CALENDAR_LEASE_NAMESPACE", value_name = "NS")]
    pub lease_namespace: Option<String>,

    /// Name of the Lease; default: hybrid-calendar-operator
    #[arg(long, env = "HYBRID_CALENDAR_LEASE_NAME", value_name = "NAME")]
    pub lease_name: Option<String>,

    /// Secret with the keys that sign clientState, made when missing; default:
    /// hybrid-calendar-operator-key in the operator's own namespace
    #[arg(long, env = "HYBRID_CALENDAR_KEY_SECRET", value_name = "NS/NAME")]
    pub key_secret: Option<String>,
}

/// Flags of `run`. Each can also be set as `HYBRID_CALENDAR_<FLAG>`; an empty value means not set.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Public HTTPS base URL at which Graph reaches the receiver (http only for loopback)
    #[arg(long, env = "HYBRID_CALENDAR_NOTIFICATION_URL", value_name = "URL")]
    pub notification_url: Option<String>,

    /// Address on which the receiver listens; the default is every address, of IPv4 too
    #[arg(
        long,
        env = "HYBRID_CALENDAR_RECEIVER_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    #[arg(default_value = "[::]:8443")]
    pub receiver_listen: String,

    /// Directory with tls.crt and tls.key of the receiver, read again when they change; without it the
    /// receiver speaks plain HTTP, for use behind an Ingress
    #[arg(long, env = "HYBRID_CALENDAR_RECEIVER_TLS_DIR", value_name = "DIR")]
    pub receiver_tls_dir: Option<String>,

    /// Address of /livez, /readyz and /metrics
    #[arg(
        long,
        env = "HYBRID_CALENDAR_ADMIN_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    #[arg(default_value = "[::]:9090")]
    pub admin_listen: String,

    /// IP address at which other copies reach this one, such as the Pod's: the copy that leads takes there what the others
    /// were told by Graph; without it lifecycle notifications wait until the copy that got them leads
    #[arg(long, env = "HYBRID_CALENDAR_ADVERTISE_ADDRESS", value_name = "IP")]
    pub advertise_address: Option<String>,

    /// Address on which this copy listens for the others, if it advertises itself
    #[arg(
        long,
        env = "HYBRID_CALENDAR_WAKES_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    #[arg(default_value = "[::]:9091")]
    pub wakes_listen: String,

    /// Where it looks, and what it needs for itself.
    #[command(flatten)]
    pub in_cluster: InCluster,

    /// Which hosts may be called, and whom to trust.
    #[command(flatten)]
    pub reach: Reach,

    /// How long the Lease of the copy that leads lasts, from 10s to 1m: so long nobody acts when it is killed, and three fifths of
    /// it the API server may be silent before it stops by itself
    #[arg(
        long,
        env = "HYBRID_CALENDAR_LEASE_DURATION",
        value_name = "DURATION",
        default_value = "15s"
    )]
    pub lease_duration: String,

    /// Refuse every write to Graph: for rehearsals and clones of a cluster
    #[arg(
        long,
        env = "HYBRID_CALENDAR_OBSERVE_ONLY",
        value_name = "BOOL",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub observe_only: String,

    /// Treat the subscriptions of this lost installation as our own strays
    #[arg(long, env = "HYBRID_CALENDAR_TAKE_OVER_FROM", value_name = "INSTANCE")]
    pub take_over_from: Option<String>,

    /// Divide our own waits by N, for rehearsals against an emulator on loopback
    #[arg(long, env = "HYBRID_CALENDAR_REHEARSAL_PACE", value_name = "N")]
    pub rehearsal_pace: Option<String>,

    /// How many objects are worked on at once: 1 to 1024
    #[arg(
        long,
        env = "HYBRID_CALENDAR_CONCURRENCY",
        value_name = "N",
        default_value = "512"
    )]
    pub concurrency: String,

    /// Metrics for each object or only for each tenant
    #[arg(
        long,
        env = "HYBRID_CALENDAR_METRICS_DETAIL",
        value_name = "object|tenant"
    )]
    #[arg(default_value = "object")]
    pub metrics_detail: String,

    /// Shape of log lines
    #[arg(
        long,
        env = "HYBRID_CALENDAR_LOG_FORMAT",
        value_name = "json|text",
        default_value = "json"
    )]
    pub log_format: String,

    /// Which log lines, such as info,hybrid_calendar_operator::graph=debug
    #[arg(
        long,
        env = "HYBRID_CALENDAR_LOG_FILTER",
        value_name = "FILTER",
        default_value = DEFAULT_LOG_FILTER
    )]
    pub log_filter: String,
}

impl Flags {
    /// The same, with the default where an empty value was given: a chart cannot leave a variable out.
    #[must_use]
    pub fn filled(&self) -> Self {
        let mut flags = self.clone();
        let defaults = Self::defaults();
        for (value, default) in [
            (&mut flags.receiver_listen, defaults.receiver_listen),
            (&mut flags.admin_listen, defaults.admin_listen),
            (&mut flags.wakes_listen, defaults.wakes_listen),
            (
                &mut flags.in_cluster.leader_elect,
                defaults.in_cluster.leader_elect,
            ),
            (&mut flags.lease_duration, defaults.lease_duration),
            (&mut flags.observe_only, defaults.observe_only),
            (&mut flags.concurrency, defaults.concurrency),
            (&mut flags.metrics_detail, defaults.metrics_detail),
            (&mut flags.log_format, defaults.log_format),
            (&mut flags.log_filter, defaults.log_filter),
        ] {
            if value.trim().is_empty() {
                *value = default;
            }
        }
        flags
    }

    /// What `run` gets when only the notification URL is given, without looking at the environment.
    #[must_use]
    pub fn for_defaults(notification_url: &str) -> Self {
        Self {
            notification_url: Some(notification_url.to_owned()),
            ..Self::defaults()
        }
    }

    fn defaults() -> Self {
        let nothing = Resettable::<OsStr>::Reset;
        let command = Self::augment_args(Command::new("run"));
        let command = command.mut_args(|flag| flag.env(nothing.clone()));
        // Nothing that is asked for has to be given, so that nothing can be missing; a test says so.
        let parsed = command.try_get_matches_from(["run"]);
        let flags = parsed.and_then(|parsed| Self::from_arg_matches(&parsed));
        flags.unwrap_or_default()
    }
}
