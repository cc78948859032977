//! Leader election against a real API server, with the rights that the operator asks for and no others.

use std::time::Duration;

use hybrid_calendar_operator::cli::rbac::{self, Access};
use hybrid_calendar_operator::clock::Clock;
use hybrid_calendar_operator::config::Scope;
use hybrid_calendar_operator::domain::lease::LeaseTiming;
use hybrid_calendar_operator::ids::ObjectKey;
use hybrid_calendar_operator::leader::{Candidate, Elector, Leadership, Term};
use kube::Client;
use prometheus::IntGauge;
use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use tokio::time::{Instant, timeout};

/// Copies of the operator in one namespace, each with a client of its own.
struct Copies {
    cluster: &'static ControlPlane,
    kubeconfig: std::path::PathBuf,
    lease: ObjectKey,
}

impl Copies {
    async fn new() -> Self {
        let cluster = ControlPlane::shared().await.unwrap();
        let namespace = cluster.namespace().await.unwrap();
        let lease = ObjectKey::new(namespace.as_str(), "hybrid-calendar-operator");
        let access = Access {
            service_account: ObjectKey::new(namespace.as_str(), "operator"),
            scope: Scope::All,
            tokens: None,
            lease: Some(lease.clone()),
            key_secret: ObjectKey::new(namespace.as_str(), "keys"),
        };
        let yaml: Vec<String> = rbac::manifests(&access)
            .iter()
            .map(|manifest| serde_json::to_string(manifest).unwrap())
            .collect();
        let rights = Rights::parse(&yaml.join("\n---\n"), &namespace).unwrap();
        let kubeconfig = cluster
            .service_account(&namespace, "operator", &rights)
            .await
            .unwrap();
        Self {
            cluster,
            kubeconfig,
            lease,
        }
    }

    async fn start(&self, name: &str) -> Elector {
        let client: Client = self.cluster.client_for(&self.kubeconfig).await.unwrap();
        Elector::start(Candidate {
            client,
            lease: self.lease.clone(),
            identity: name.to_owned(),
            wakes_at: None,
            clock: Clock::system(),
            timing: LeaseTiming::default(),
            gauge: IntGauge::new("leader", "leader").unwrap(),
        })
    }
}

async fn leading(elector: &Elector, within: Duration) -> Term {
    let mut leadership = elector.leadership();
    let led = leadership.wait_for(|now| matches!(now, Leadership::Leading(_)));
    let led = timeout(within, led).await.unwrap().unwrap();
    match *led {
        Leadership::Leading(term) => term,
        Leadership::Following => unreachable!("waited for leading"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_dies_another_copy_takes_over_after_the_lease_and_not_before() {
    let copies = Copies::new().await;
    let body = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let first = {
        let (kubeconfig, lease) = (copies.kubeconfig.clone(), copies.lease.clone());
        let copies = Copies {
            cluster: copies.cluster,
            kubeconfig,
            lease,
        };
        let start = async move { copies.start("first").await };
        body.spawn(start).await.unwrap()
    };
    let term = leading(&first, Duration::from_secs(10)).await;
    assert_eq!(term.previous_renewal, None);

    let second = copies.start("second").await;
    // Its tasks vanish as with kill -9: nothing is released.
    body.shutdown_background();
    let died = Instant::now();
    let timing = LeaseTiming::default();
    let taken = leading(&second, timing.duration() + Duration::from_secs(10)).await;
    assert!(died.elapsed() > timing.duration().saturating_sub(2 * timing.renewal()));
    assert!(!first.fence().may_write());
    assert!(second.fence().may_write());
    assert!(taken.previous_renewal.unwrap() >= term.since - Duration::from_secs(1));
    second.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_at_once() {
    let copies = Copies::new().await;
    let first = copies.start("first").await;
    leading(&first, Duration::from_secs(10)).await;
    let second = copies.start("second").await;
    let fence = first.fence();
    first.release().await;
    assert!(!fence.may_write());
    leading(
        &second,
        LeaseTiming::default().renewal() + Duration::from_secs(5),
    )
    .await;
    second.release().await;
}
