//! What is measured, and how large.

use std::ops::Deref;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// One run of the benchmark.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Mailboxes in all; several numbers, separated by commas, are measured one after the other
    #[arg(long = "mailboxes", value_name = "N", default_value = "1000", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub sizes: Vec<u32>,

    /// Tenants over which they are spread
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub tenants: u32,

    /// How often everything is measured; the table shows medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeat: u32,

    /// What is measured, repeated; all if there is none
    #[arg(long = "scenario", value_name = "NAME")]
    pub scenarios: Vec<Scenario>,

    /// How long Microsoft takes for each call, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pub latency: u64,

    /// What the operator works on at once; its own default if this is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: Option<u16>,

    /// How many statuses the floor writes at once; as many as the operator by default
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub floor_concurrency: u16,

    /// How long a world that has settled is watched, in seconds, and so is a tenant that hangs
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub watch: u64,

    /// How often everything is checked in the scenarios `cold`, `restart` and `twins`, such as 24h; once an hour if this is not given
    #[arg(long, value_name = "DURATION")]
    pub check_interval: Option<String>,

    /// How many mailboxes are applied while others wait, in each tenant
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=999))]
    pub probes: u32,

    /// Mailboxes of the tenant that hangs, in the scenario `sick`
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub sick: u32,

    /// Notifications a second that the receiver gets, in ascending order; the first that it cannot keep up with is the last
    #[arg(long, value_name = "N", default_value = "1000,5000,10000,15000,20000,30000", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub rates: Vec<u32>,

    /// How long each of these rates lasts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub burst: u64,

    /// Virtual hours that are counted, in the scenario `steady`
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=720))]
    pub hours: u32,

    /// Divides the operator's own waits, for a trial of the benchmark itself
    #[arg(long, value_name = "N")]
    pub pace: Option<u32>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The operator starts, all objects are there, none has a status; against the floor.
    Cold,
    /// It starts again in a world that has converged.
    Restart,
    /// Both, with twins of the operator in other frameworks beside it.
    Twins,
    /// The bare program alone, in every manner in which a status can be written.
    Writes,
    /// One more mailbox while first validations wait.
    Apply,
    /// Notifications arrive at an operator that has one core.
    Receiver,
    /// All mailboxes are in one tenant, at a Graph with its documented quotas.
    Quotas,
    /// A tenant that hangs beside others that do not.
    Sick,
    /// A copy stands by, and the one that leads ends.
    Takeover,
    /// Everything has settled, and virtual hours go by.
    Steady,
}

impl Options {
    /// Whether a scenario was asked for.
    #[must_use]
    pub fn has(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }

    /// Whether one of these was asked for.
    #[must_use]
    pub fn has_any(&self, scenarios: &[Scenario]) -> bool {
        scenarios.iter().any(|scenario| self.has(*scenario))
    }

    /// Whether anything was asked for that is measured on a control plane for all.
    #[must_use]
    pub fn shares_a_cluster(&self) -> bool {
        self.has_any(&[
            Scenario::Apply,
            Scenario::Receiver,
            Scenario::Quotas,
            Scenario::Sick,
            Scenario::Takeover,
        ])
    }

    /// How long Microsoft takes for each call.
    #[must_use]
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency)
    }

    /// How long a world that has settled is watched.
    #[must_use]
    pub fn watch(&self) -> Duration {
        Duration::from_secs(self.watch)
    }
}

/// What is measured with one number of mailboxes.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    options: &'a Options,
    /// Mailboxes in all.
    pub mailboxes: u32,
}

impl<'a> Trial<'a> {
    /// One for each number that was asked for.
    pub fn each(options: &'a Options) -> impl Iterator<Item = Self> {
        let sizes = options.sizes.iter();
        sizes.map(move |&mailboxes| Self { options, mailboxes })
    }

    /// How long all of them may take together: ten times of what a slow machine needs.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_mins(2) + Duration::from_millis(200) * self.mailboxes
    }
}

impl Deref for Trial<'_> {
    type Target = Options;

    fn deref(&self) -> &Options {
        self.options
    }
}
