//! Looking at the objects until they are as expected, and telling of every change afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testbed::error::Error;
use testbed::objects::{self, Kind, seen};
use testbed::wait;
use tokio::time::Instant;

use crate::expectations::Expectation;
use crate::screen::Screen;
use crate::stage::{NAMESPACE, Stage, VISITORS};

type Objects = BTreeMap<(&'static str, String, String), Value>;

const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Shows the table until every expectation holds. Returns those that do not at the deadline.
pub(crate) async fn until_as_expected<'a>(
    stage: &Stage<'_>,
    expectations: &'a [Expectation],
    deadline: Duration,
    screen: &Screen,
) -> Result<Vec<&'a Expectation>, Error> {
    let begin = Instant::now();
    let mut seen = Objects::new();
    let held = wait::until("everything is as expected", deadline, async || {
        if let Ok(now) = look(stage).await {
            let changed = now != seen;
            seen = now;
            if changed {
                screen.draft(&rows(expectations, &seen));
            }
        }
        expectations.iter().all(|e| e.holds(object(&seen, e)))
    })
    .await;
    screen.table(&rows(expectations, &seen));
    if held.is_ok() {
        let seconds = begin.elapsed().as_secs_f32();
        screen.line(&format!("Everything is as expected after {seconds:.1} s."));
    }
    Ok(expectations
        .iter()
        .filter(|e| !e.holds(object(&seen, e)))
        .collect())
}

/// Tells of every change of a `Ready` condition and of renewals, until it is dropped.
pub(crate) async fn changes(
    stage: &Stage<'_>,
    expectations: &[Expectation],
    screen: &Screen,
) -> Result<(), Error> {
    let mut before = look(stage).await?;
    let mut renewed = 0;
    wait::until("the end of the demo", FOREVER, async || {
        if let Ok(now) = look(stage).await {
            for expectation in expectations {
                let ready = |objects: &Objects| {
                    seen(object(objects, expectation), "Ready")
                        .map_or_else(|| "not looked at".to_owned(), |ready| ready.to_string())
                };
                let (old, new) = (ready(&before), ready(&now));
                if old != new {
                    let kind = expectation.kind.as_str();
                    screen.line(&format!("{kind} {}: {old} -> {new}", expectation.name));
                }
            }
            before = now;
        }
        let renewals = stage.renewals();
        if renewals > renewed {
            renewed = renewals;
            screen.line(&format!("Subscriptions renewed so far: {renewals}"));
        }
        false
    })
    .await
}

fn rows(expectations: &[Expectation], objects: &Objects) -> Vec<Vec<String>> {
    let title = ["", "OBJECT", "WHAT IT IS", "EXPECTED", "IS"];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    rows.extend(expectations.iter().map(|expectation| {
        let object = object(objects, expectation);
        let holds = expectation.holds(object);
        let kind = match expectation.kind {
            Kind::Tenant => "ct",
            Kind::Mailbox => "wm",
        };
        vec![
            if holds { "ok" } else { ".." }.to_owned(),
            format!("{kind}/{}", expectation.name),
            expectation.what.clone(),
            expectation.expected(),
            expectation.actual(object),
        ]
    }));
    rows
}

fn object<'a>(objects: &'a Objects, expectation: &Expectation) -> &'a Value {
    let Expectation {
        kind,
        namespace,
        name,
        ..
    } = expectation;
    objects
        .get(&(kind.as_str(), namespace.clone(), name.clone()))
        .unwrap_or(&Value::Null)
}

async fn look(stage: &Stage<'_>) -> Result<Objects, Error> {
    let mut found = Objects::new();
    for kind in [Kind::Tenant, Kind::Mailbox] {
        for namespace in [NAMESPACE, VISITORS] {
            for object in objects::list(&stage.client, kind, namespace).await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let key = (kind.as_str(), namespace.to_owned(), name.to_owned());
                found.insert(key, object);
            }
        }
    }
    Ok(found)
}
