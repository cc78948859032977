//! What is counted of the calls to Graph and Entra.

use prometheus::{CounterVec, HistogramVec, IntCounterVec, Registry};

use super::{GRAPH_BUCKETS, counters, float_counters, forget, histograms};

/// Values of the label `host`: Entra's login host, and Graph.
pub const HOSTS: [&str; 2] = [LOGIN, GRAPH];
/// Where tokens come from.
pub const LOGIN: &str = "login";
/// Where everything else comes from.
pub const GRAPH: &str = "graph";

/// Handles to the metrics of the gateway.
#[derive(Debug)]
pub struct GraphMetrics {
    /// Calls to Graph and Entra. Labels: `operation`, `code` (status, or `timeout`, `connect`, `cut`), `tenant`.
    pub requests: IntCounterVec,
    /// Those of them that travelled in a batch. Labels: `operation`, `tenant`.
    pub batched_requests: IntCounterVec,
    /// Duration of calls, a batch being one. Labels: `operation`, `outcome` (`ok`, `error`).
    pub request_seconds: HistogramVec,
    /// How often a host kept failing until calls were kept from it. Labels: `host` (`login`, `graph`), `tenant`.
    pub circuit_opened: IntCounterVec,
    /// Seconds for which Graph asked calls to wait. Label: `tenant`.
    pub throttled_seconds: CounterVec,
}

impl GraphMetrics {
    pub(super) fn new(on: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: counters(
                on,
                "graph_requests_total",
                "Calls to Graph and Entra; `batch` is the envelope of several others.",
                &["operation", "code", "tenant"],
            )?,
            batched_requests: counters(
                on,
                "graph_batched_requests_total",
                "Calls to Graph that travelled in a batch, and so were no requests of their own.",
                &["operation", "tenant"],
            )?,
            request_seconds: histograms(
                on,
                "graph_request_seconds",
                "Duration of requests to Graph and Entra.",
                &["operation", "outcome"],
                GRAPH_BUCKETS,
            )?,
            circuit_opened: counters(
                on,
                "graph_circuit_opened_total",
                "How often Microsoft kept failing for a tenant until only one call at a time was made.",
                &["host", "tenant"],
            )?,
            throttled_seconds: float_counters(
                on,
                "graph_throttled_seconds_total",
                "Seconds for which Graph asked calls to wait, each once however many calls it concerned.",
                &["tenant"],
            )?,
        })
    }

    /// A tenant is there. A counter that appears with its first event hides that event from whoever asks for an increase.
    pub(super) fn expect_tenant(&self, tenant: &str) {
        for host in HOSTS {
            self.circuit_opened.with_label_values(&[host, tenant]);
        }
    }

    /// A tenant is gone: what was counted of it is not shown for ever.
    pub(super) fn forget_tenant(&self, tenant: &str) {
        forget(&self.requests, tenant);
        forget(&self.batched_requests, tenant);
        forget(&self.circuit_opened, tenant);
        forget(&self.throttled_seconds, tenant);
    }
}
