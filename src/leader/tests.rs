//! Several candidates at one Lease, in held time: the API server is a version-checked cell.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

/// One Lease with optimistic locking.
#[derive(Clone, Default)]
struct Cell(Arc<Mutex<Option<Value>>>);

impl Cell {
    fn answer(&self, method: &http::Method, body: &[u8]) -> (u16, Value) {
        let mut stored = self.0.lock().unwrap();
        let version = |lease: &Value| {
            lease["metadata"]["resourceVersion"]
                .as_str()
                .map(str::to_owned)
        };
        let current = stored.as_ref().and_then(version);
        if method == http::Method::GET {
            return match &*stored {
                Some(lease) => (200, lease.clone()),
                None => failure(404, "NotFound"),
            };
        }
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        match (method == http::Method::POST, &current) {
            (true, Some(_)) => return failure(409, "AlreadyExists"),
            (false, _) if current != version(&lease) => return failure(409, "Conflict"),
            (true, None) | (false, _) => {}
        }
        let next = current.map_or(1, |version| version.parse::<u64>().unwrap() + 1);
        lease["metadata"]["resourceVersion"] = json!(next.to_string());
        *stored = Some(lease.clone());
        (200, lease)
    }

    fn holder(&self) -> String {
        let stored = self.0.lock().unwrap();
        let lease = stored.as_ref().unwrap();
        lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }

    /// As somebody who edits a label.
    fn edit(&self) {
        let lease = self.0.lock().unwrap().clone().unwrap();
        let (status, _) = self.answer(&http::Method::PUT, lease.to_string().as_bytes());
        assert_eq!(status, 200);
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    (code, status)
}

/// A candidate, and the cable between it and the API server.
struct Copy {
    elector: Elector,
    cut: Arc<AtomicBool>,
    /// Writes arrive, and their answers do not.
    silent: Arc<AtomicBool>,
}

impl Copy {
    fn start(cell: &Cell, name: &str) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let silent = Arc::new(AtomicBool::new(false));
        let (cell, cable, way_back) = (cell.clone(), cut.clone(), silent.clone());
        let service = service_fn(move |request: http::Request<Body>| {
            let (cell, cable, way_back) = (cell.clone(), cable.clone(), way_back.clone());
            async move {
                if cable.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (status, answer) = cell.answer(&head.method, &body);
                if head.method != http::Method::GET && way_back.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let answer = Body::from(answer.to_string().into_bytes());
                let response = http::Response::builder().status(status).body(answer);
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        let elector = Elector::start(Candidate {
            client: Client::new(service, "default"),
            lease: ObjectKey::new("operators", "lease"),
            identity: name.to_owned(),
            wakes_at: None,
            clock: Clock::starting_at("2026-11-24T08:00:00Z".parse().unwrap()),
            timing: LeaseTiming::default(),
            gauge: IntGauge::new("leader", "leader").unwrap(),
        });
        Self {
            elector,
            cut,
            silent,
        }
    }

    fn leads(&self) -> bool {
        matches!(*self.elector.leadership().borrow(), Leadership::Leading(_))
    }

    fn may_write(&self) -> bool {
        self.elector.fence().may_write()
    }

    async fn until_leading(&self) -> Term {
        let mut leadership = self.elector.leadership();
        let leading = leadership.wait_for(|now| matches!(now, Leadership::Leading(_)));
        let leading = timeout(Duration::from_mins(1), leading).await.unwrap();
        match *leading.unwrap() {
            Leadership::Leading(term) => term,
            Leadership::Following => unreachable!("waited for leading"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_keeps_leading_while_the_other_waits() {
    let cell = Cell::default();
    let first = Copy::start(&cell, "first");
    let term = first.until_leading().await;
    assert_eq!(term.previous_renewal, None);
    let second = Copy::start(&cell, "second");
    for _ in 0..600 {
        sleep(Duration::from_millis(100)).await;
        assert!(first.leads() && first.may_write());
        assert!(!second.leads() && !second.may_write());
    }
    assert_eq!(cell.holder(), "first");
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_stops_before_another_takes_over_and_two_never_write() {
    let cell = Cell::default();
    let first = Copy::start(&cell, "first");
    let before = first.until_leading().await.since;
    let second = Copy::start(&cell, "second");
    sleep(Duration::from_secs(5)).await;
    first.cut.store(true, Ordering::SeqCst);
    let cut = Instant::now();
    let (mut stopped, mut taken) = (None, None);
    for _ in 0..300 {
        sleep(Duration::from_millis(100)).await;
        assert!(!(first.may_write() && second.may_write()));
        assert!(!(first.leads() && second.leads()));
        if !first.leads() {
            assert!(!first.may_write());
            stopped.get_or_insert(cut.elapsed());
        }
        if second.leads() {
            taken.get_or_insert(cut.elapsed());
        }
    }
    let (stopped, taken, timing) = (stopped.unwrap(), taken.unwrap(), LeaseTiming::default());
    assert!(stopped <= Duration::from_secs(10), "{stopped:?}");
    assert!(
        (timing.duration()..timing.duration() + 2 * timing.renewal())
            .contains(&(taken + timing.renewal())),
        "{taken:?}"
    );
    let term = second.until_leading().await;
    assert!(term.previous_renewal.unwrap() >= before);

    first.cut.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(30)).await;
    assert!(second.leads() && !first.leads());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_may_not_write_when_it_wakes() {
    let cell = Cell::default();
    let only = Copy::start(&cell, "only");
    let first = only.until_leading().await;
    let fence = only.elector.fence();
    let mut leadership = only.elector.leadership();
    leadership.mark_unchanged();
    // Time jumps before any task of ours runs.
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(!fence.may_write());
    assert_eq!(cell.holder(), "only");
    let again = leadership
        .wait_for(|now| *now == Leadership::Following)
        .await;
    drop(again.unwrap());
    let second = only.until_leading().await;
    assert!(second.since > first.since);
    assert!(second.previous_renewal.is_some());
    assert!(fence.may_write());
}

#[tokio::test(start_paused = true)]
async fn release_hands_over_within_a_second() {
    let cell = Cell::default();
    let first = Copy::start(&cell, "first");
    first.until_leading().await;
    let second = Copy::start(&cell, "second");
    sleep(Duration::from_secs(5)).await;
    let fence = first.elector.fence();
    let released = Instant::now();
    first.elector.release().await;
    assert!(!fence.may_write());
    second.until_leading().await;
    assert!(
        released.elapsed() <= LeaseTiming::default().look(),
        "{:?}",
        released.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_while_it_takes_the_lease_does_not_keep_it() {
    let cell = Cell::default();
    let first = Copy::start(&cell, "first");
    first.silent.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cell.holder(), "first", "the write arrived");
    assert!(!first.leads(), "its answer did not");
    first.silent.store(false, Ordering::SeqCst);
    first.elector.release().await;
    assert_eq!(cell.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn an_edited_label_does_not_end_a_term() {
    let cell = Cell::default();
    let only = Copy::start(&cell, "only");
    let term = only.until_leading().await;
    for _ in 0..20 {
        cell.edit();
        sleep(Duration::from_secs(1)).await;
        assert!(only.may_write());
    }
    assert_eq!(only.until_leading().await, term);
}

#[tokio::test(start_paused = true)]
async fn without_election_a_process_leads_until_it_stops() {
    let clock = Clock::starting_at("2026-11-24T08:00:00Z".parse().unwrap());
    let gauge = IntGauge::new("leader", "leader").unwrap();
    let elector = Elector::always(&clock, &gauge);
    let (fence, leadership) = (elector.fence(), elector.leadership());
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(fence.may_write());
    assert!(matches!(*leadership.borrow(), Leadership::Leading(_)));
    elector.release().await;
    assert!(!fence.may_write());
    assert_eq!(*leadership.borrow(), Leadership::Following);
}
