//! The runs, in numbers: what is aimed at, and with which arguments it is measured.

use super::{Bound, Figure, Run, aim, median};
use crate::report::Pick;
use crate::scenario::{apply, cold, receiver, restart, sick, steady, takeover};

const MIB: f64 = 1_048_576.0;
/// Graph's own time until a mailbox is Ready, in seconds: about four calls one after the other, of 100 ms each.
const GRAPHS_OWN: f64 = 0.4;
/// Rounds of one and the same program differ by as much.
const NOISE: f64 = 1.15;

pub(super) const COLD: Pick = |of| &of.cold;
const RESTART: Pick = |of| &of.restart;
const QUOTAS: Pick = |of| &of.quotas;
const STEADY: Pick = |of| &of.steady;
pub(super) const APPLY: Pick = |of| &of.apply;
const SICK: Pick = |of| &of.sick;
const RECEIVER: Pick = |of| &of.receiver;
const RECEIVER_TLS: Pick = |of| &of.receiver_tls;
const TAKEOVER: Pick = |of| &of.takeover;

/// All runs, in an order in which the longest comes last.
pub static RUNS: [Run; 11] = [
    Run {
        arguments: "--scenario cold --scenario restart --mailboxes 10000 --tenants 50 --watch 45 --repeat 3",
        aims: &[
            aim(
                "cold start, 10,000 in 50 tenants: time, times the floor's",
                COLD,
                Figure::OfFloor(&cold::TIME),
                Bound::AtMost(1.35),
            ),
            aim(
                "the same: time per mailbox",
                COLD,
                median(&cold::TIME_EACH),
                Bound::Shown,
            ),
            aim(
                "the same: processor time",
                COLD,
                median(&cold::PROCESSOR),
                Bound::AtMost(8.0),
            ),
            aim(
                "the same: status writes per mailbox",
                COLD,
                median(&cold::STATUSES),
                Bound::AtMost(1.0),
            ),
            aim(
                "the same: Events",
                COLD,
                median(&cold::EVENTS),
                Bound::AtMost(0.0),
            ),
            aim(
                "the same: Graph requests per mailbox",
                COLD,
                median(&cold::CALLS),
                Bound::AtMost(1.2),
            ),
            aim(
                "the same: resident memory, peak",
                COLD,
                median(&cold::PEAK),
                Bound::AtMost(96.0 * MIB),
            ),
            aim(
                "the same: resident memory, at rest",
                COLD,
                median(&cold::STEADY),
                Bound::AtMost(64.0 * MIB),
            ),
            aim(
                "restart, 10,000 in 50 tenants: writes besides the Lease",
                RESTART,
                median(&restart::WRITES),
                Bound::AtMost(0.0),
            ),
            aim(
                "the same: time until /readyz",
                RESTART,
                median(&restart::SERVING),
                Bound::AtMost(3.0),
            ),
            aim(
                "the same: time until all objects are known, the lists included",
                RESTART,
                median(&restart::KNOWN),
                Bound::Shown,
            ),
        ],
    },
    Run {
        arguments: "--scenario restart --mailboxes 5000 --tenants 50 --check-interval 24h --watch 5 --repeat 1",
        aims: &[aim(
            "restart, 5,000 in 50 tenants, nothing else due: Graph requests per tenant besides pages of lists",
            RESTART,
            median(&restart::CALLS_BESIDES),
            Bound::AtMost(3.0),
        )],
    },
    Run {
        arguments: "--scenario steady --mailboxes 10000 --hours 4 --repeat 1",
        aims: &[
            aim(
                "steady hours, 10,000 mailboxes: status writes",
                STEADY,
                median(&steady::STATUSES),
                Bound::AtMost(0.0),
            ),
            aim(
                "the same: Graph requests per mailbox and hour",
                STEADY,
                median(&steady::REQUESTS),
                Bound::AtMost(0.25),
            ),
        ],
    },
    Run {
        arguments: "--scenario apply --mailboxes 10000 --probes 5 --repeat 1",
        aims: &[
            aim(
                "apply one while 10,000 wait: worst time to Ready in another tenant",
                APPLY,
                Figure::Worst(&apply::OTHER),
                Bound::AtMost(2.0 + GRAPHS_OWN),
            ),
            aim(
                "the same: worst time to Ready in the same tenant",
                APPLY,
                Figure::Worst(&apply::SAME),
                Bound::AtMost(2.0 + GRAPHS_OWN),
            ),
        ],
    },
    Run {
        arguments: "--scenario sick --mailboxes 10000 --tenants 50 --watch 60 --repeat 2",
        aims: &[
            aim(
                "10,000 beside a tenant of 5,000 that hangs: time, times that without it",
                SICK,
                Figure::OfFloor(&cold::TIME),
                Bound::AtMost(NOISE),
            ),
            aim(
                "the same: requests for the tenant that hangs, until a minute later (the aim is for an hour)",
                SICK,
                median(&sick::ASKED),
                Bound::AtMost(200.0),
            ),
        ],
    },
    Run {
        arguments: "--scenario receiver --mailboxes 1000 --rates 5000,30000 --repeat 1",
        aims: &[
            aim(
                "receiver on one core, 5,000 a second: p99",
                RECEIVER,
                Figure::Median("5000/s", &receiver::P99),
                Bound::AtMost(100.0),
            ),
            aim(
                "the same with TLS",
                RECEIVER_TLS,
                Figure::Median("5000/s", &receiver::P99),
                Bound::AtMost(100.0),
            ),
            aim(
                "receiver on one core, 30,000 a second: p99",
                RECEIVER,
                Figure::Median("30000/s", &receiver::P99),
                Bound::Shown,
            ),
        ],
    },
    Run {
        arguments: "--scenario takeover --mailboxes 2000 --repeat 3",
        aims: &[
            aim(
                "takeover after SIGTERM: time until the next copy acts",
                TAKEOVER,
                Figure::Median(takeover::TOLD, &takeover::FIRST),
                Bound::AtMost(2.0),
            ),
            aim(
                "takeover after SIGKILL: time until the next copy acts",
                TAKEOVER,
                Figure::Median(takeover::KILLED, &takeover::FIRST),
                Bound::AtMost(20.0),
            ),
        ],
    },
    Run {
        arguments: "--scenario twins --mailboxes 5000 --tenants 50 --repeat 1",
        aims: &[
            aim(
                "cold start, 5,000 in 50 tenants: time of the fastest twin, times the operator's",
                COLD,
                Figure::LeastOfTwins(&cold::TIME),
                Bound::AtLeast(1.0),
            ),
            aim(
                "the same: processor time of the thriftiest twin",
                COLD,
                Figure::LeastOfTwins(&cold::PROCESSOR),
                Bound::AtLeast(1.0),
            ),
            aim(
                "the same: resident memory of the smallest twin, peak",
                COLD,
                Figure::LeastOfTwins(&cold::PEAK),
                Bound::AtLeast(1.0),
            ),
            aim(
                "the same: API server requests of the twin with the fewest",
                COLD,
                Figure::LeastOfTwins(&cold::REQUESTS),
                Bound::AtLeast(1.0),
            ),
        ],
    },
    Run {
        arguments: "--scenario quotas --mailboxes 10000 --repeat 1",
        aims: &[
            aim(
                "10,000 in one tenant with Graph's quotas: time, times what they allow",
                QUOTAS,
                Figure::OfFloor(&cold::TIME),
                Bound::AtMost(1.15),
            ),
            aim(
                "the same: Graph answers 429",
                QUOTAS,
                median(&cold::THROTTLED),
                Bound::AtMost(0.0),
            ),
        ],
    },
    Run {
        arguments: "--scenario cold --mailboxes 1000,50000 --tenants 50 --repeat 1",
        aims: &[
            aim(
                "cold start in 50 tenants: time, times the floor's",
                COLD,
                Figure::OfFloor(&cold::TIME),
                Bound::AtMost(1.35),
            ),
            aim(
                "the same: time per mailbox",
                COLD,
                median(&cold::TIME_EACH),
                Bound::Shown,
            ),
        ],
    },
    Run {
        arguments: "--scenario restart --mailboxes 100000 --tenants 500 --watch 30 --repeat 1",
        aims: &[
            aim(
                "100,000 in 500 tenants: resident memory of a first start, peak",
                COLD,
                median(&cold::PEAK),
                Bound::AtMost(300.0 * MIB),
            ),
            aim(
                "the same: resident memory of a restart, peak",
                RESTART,
                median(&cold::PEAK),
                Bound::AtMost(300.0 * MIB),
            ),
        ],
    },
];
