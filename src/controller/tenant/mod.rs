//! A pass over one tenant.

pub mod observe;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use observe::{Edge, Link};

use super::cluster::{self, ReadError};
use super::mailbox::Passed;
use super::status::{WriteError, Written};
use super::world::Context;
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::domain::announce::announcements;
use crate::domain::notification_url::EndpointVerdict;
use crate::domain::records::TenantRecord;
use crate::domain::tenant::desired::{SpecProblem, TenantDesired};
use crate::domain::tenant::facts::TenantFacts;
use crate::domain::tenant::memory::TenantMemory;
use crate::domain::tenant::observed::TenantObserved;
use crate::domain::tenant::snapshot::{Mailboxes, TenantSnapshot};
use crate::domain::tenant::status::status;
use crate::domain::tenant::work::Work;
use crate::ids::{Kind, ObjectKey};
use crate::plain::Causes;

/// So often a status is decided anew because the object changed meanwhile.
const WRITE_ATTEMPTS: usize = 4;

/// One pass, as far as it has come.
struct Pass<'a> {
    context: &'a Context,
    record: Arc<TenantRecord>,
    desired: Arc<Result<TenantDesired, SpecProblem>>,
    facts: TenantFacts,
    memory: TenantMemory,
    mailboxes: Mailboxes,
    work: Work,
    observed: TenantObserved,
    endpoint: EndpointVerdict,
    link: Link,
    /// By how much the clock had been set back when it began.
    set_back_by: Duration,
}

/// Observes, learns and writes the status, if anything is due.
pub(super) async fn pass(context: &Context, key: &ObjectKey) -> Passed {
    let Some(mut pass) = Pass::begin(context, key) else {
        return Passed::Unchanged;
    };
    let give_up = pass.gives_up();
    let seen = give_up.run_until_cancelled(Box::pin(pass.observe())).await;
    if seen.is_none() {
        return Passed::Failed;
    }
    pass.learn();
    pass.finish().await
}

impl<'a> Pass<'a> {
    fn begin(context: &'a Context, key: &ObjectKey) -> Option<Self> {
        let now = context.clock.now();
        let mut world = context.world();
        let work = world.tenant_due(context, key, now)?;
        let record = Arc::clone(&world.store.tenant(key)?.record);
        let mailboxes = world.mailboxes_summed_up(key);
        let endpoint = world.endpoint_verdict(key);
        let set_back_by = world.set_back_by;
        let state = world.tenants.get_mut(key)?;
        state.memory.begin(work);
        Some(Self {
            context,
            record,
            desired: Arc::clone(&state.desired),
            facts: state.facts.clone(),
            memory: state.memory.clone(),
            mailboxes,
            work,
            observed: TenantObserved::default(),
            endpoint,
            link: state.link.clone(),
            set_back_by,
        })
    }

    /// When it may be left in the midst: never, if it creates an event in a test mailbox, which has to be removed again.
    fn gives_up(&self) -> CancellationToken {
        let desired = self.desired.as_ref().as_ref();
        if desired.is_ok_and(|desired| desired.test_mailbox.is_some()) {
            CancellationToken::new()
        } else {
            self.context.give_up.clone()
        }
    }

    fn snapshot(&self) -> TenantSnapshot<'_> {
        TenantSnapshot {
            record: &self.record,
            desired: &self.desired,
            facts: &self.facts,
            memory: &self.memory,
            work: self.work,
            observed: &self.observed,
            endpoint: self.endpoint,
            mailboxes: &self.mailboxes,
            now: self.context.clock.now(),
            pace: self.context.settings.pace,
        }
    }

    async fn observe(&mut self) {
        let mut link = std::mem::take(&mut self.link);
        let mut edge = Edge {
            offers: &self.context.client,
            gateway: &self.context.gateway,
            key: &self.record.key,
            link: &mut link,
        };
        let observed = observe::observe(&mut edge, &self.snapshot()).await;
        self.observed = observed;
        self.link = link;
    }

    /// Shows the mailboxes what was learned, before the status is written: they need not wait for it.
    fn learn(&mut self) {
        let now = self.context.clock.now();
        let mut world = self.context.world();
        // What was copied at the beginning moves along with a clock that was set back meanwhile.
        let set_back = world.set_back_by.saturating_sub(self.set_back_by);
        self.facts.set_back(set_back);
        self.memory.set_back(set_back);
        let snapshot = self.snapshot();
        let Some(state) = world.tenant_state_mut(&self.record) else {
            return;
        };
        state.facts.learn(&snapshot);
        let whose = (&self.record.key, self.record.uid);
        world.note_credential(whose, self.link.clone(), &self.observed.credential, now);
        world.publish_facts(self.context, &self.record.key, now);
    }

    async fn finish(mut self) -> Passed {
        for _ in 0..WRITE_ATTEMPTS {
            let decided = status(&self.snapshot());
            if decided == self.record.status {
                self.remember();
                return Passed::Unchanged;
            }
            let statuses = &self.context.statuses;
            match statuses.write_tenant(&self.record, &decided).await {
                Ok(Written::Done(written)) => {
                    self.announce(&decided);
                    self.remember();
                    self.context.tenant_written(&written);
                    return Passed::Changed;
                }
                Ok(Written::Gone) => return self.forget(),
                Ok(Written::Conflict) => match self.reload().await {
                    Ok(true) => {}
                    Ok(false) => return self.forget(),
                    Err(error) => return self.unwritten(&error),
                },
                // The next leader does it all again.
                Err(WriteError::NotLeading) => return Passed::Failed,
                Err(error) => return self.unwritten(&error),
            }
        }
        self.fail();
        Passed::Failed
    }

    /// The object changed under us: decides anew for its present version, if it is still the same object.
    async fn reload(&mut self) -> Result<bool, ReadError> {
        let fresh = cluster::tenant(&self.context.client, &self.record.key).await?;
        let Some(fresh) = fresh.filter(|fresh| fresh.uid == self.record.uid) else {
            return Ok(false);
        };
        // What was decided was decided for the spec at the beginning; a newer one is due right after.
        self.record = Arc::new(TenantRecord {
            generation: self.record.generation,
            spec: self.record.spec.clone(),
            requested_at: self.record.requested_at.clone(),
            ..fresh
        });
        Ok(true)
    }

    /// The object is gone, or another one has its name: it is not worked on again, whatever the watch has told so far.
    fn forget(&self) -> Passed {
        let record = &self.record;
        self.context.tenant_vanished(&record.key, Some(record.uid));
        Passed::Unchanged
    }

    fn announce(&self, decided: &CalendarTenantStatus) {
        let before = &self.record.status.conditions;
        let news = announcements(Kind::CalendarTenant, before, &decided.conditions);
        self.context
            .publisher
            .publish(Kind::CalendarTenant, &self.record, news);
    }

    fn unwritten(&self, error: &(dyn std::error::Error + 'static)) -> Passed {
        tracing::warn!(tenant = %self.record.key, error = %Causes(error), "the status could not be written; it is tried again");
        self.fail();
        Passed::Failed
    }

    fn remember(&self) {
        self.with_memory(|memory| memory.end(&self.snapshot()));
    }

    fn fail(&self) {
        self.with_memory(|memory| memory.fail(&self.snapshot()));
    }

    fn with_memory(&self, change: impl FnOnce(&mut TenantMemory)) {
        let mut world = self.context.world();
        if let Some(state) = world.tenant_state_mut(&self.record) {
            change(&mut state.memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::super::stage::{Stage, stored, tenant};
    use super::*;

    /// The tenant, edited by somebody just now, and then left alone; its Secret is not there.
    fn edited(request: &Request<Body>) -> Option<(StatusCode, Value)> {
        let mut object = stored(Kind::CalendarTenant, &tenant(1));
        object["metadata"]["resourceVersion"] = "2".into();
        let refused = |code: u16, reason: &str| {
            let body = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "no", "reason": reason, "code": code,
            });
            (StatusCode::from_u16(code).unwrap(), body)
        };
        let path = request.uri().path();
        if path.contains("/events") {
            return None;
        }
        Some(if path.contains("/secrets/") {
            refused(404, "NotFound")
        } else if request.method() != Method::PUT {
            (StatusCode::OK, object)
        } else if WRITES.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            refused(409, "Conflict")
        } else {
            object["metadata"]["resourceVersion"] = "3".into();
            (StatusCode::OK, object)
        })
    }

    static WRITES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_was_edited_during_its_pass_gets_its_status_all_the_same() {
        let context = Stage::with_cluster(edited).context();
        context.tenant_present(&tenant(1));
        assert_eq!(pass(&context, &tenant(1).key).await, Passed::Changed);
        let world = context.world();
        let failures = &world.tenants[&tenant(1).key].memory.failures;
        assert_eq!(failures.tries(), 0, "an edit is no failure");
    }
}
