//! A pass over one tenant.

pub mod observe;

use std::sync::Arc;

use observe::{Edge, Link};

use super::mailbox::Passed;
use super::status::{WriteError, Written};
use super::world::Context;
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
}

/// Observes, learns and writes the status, if anything is due.
pub(super) async fn pass(context: &Context, key: &ObjectKey) -> Passed {
    let Some(mut pass) = Pass::begin(context, key) else {
        return Passed::Unchanged;
    };
    pass.observe().await;
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
        let state = world.tenants.get_mut(key)?;
        state.memory.begin();
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
        })
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
            cluster: &self.context.client,
            gateway: &self.context.gateway,
            key: &self.record.key,
            link: &mut link,
        };
        let observed = observe::observe(&mut edge, &self.snapshot()).await;
        self.observed = observed;
        self.link = link;
    }

    /// Shows the mailboxes what was learned, before the status is written: they need not wait for it.
    fn learn(&self) {
        let now = self.context.clock.now();
        let mut world = self.context.world();
        let snapshot = self.snapshot();
        let Some(state) = world.tenant_state_mut(&self.record) else {
            return;
        };
        state.facts.learn(&snapshot);
        let whose = (&self.record.key, self.record.uid);
        world.note_credential(whose, self.link.clone(), &self.observed.credential, now);
        world.publish_facts(self.context, &self.record.key, now);
    }

    async fn finish(self) -> Passed {
        let decided = status(&self.snapshot());
        if decided == self.record.status {
            self.remember();
            return Passed::Unchanged;
        }
        match self
            .context
            .statuses
            .write_tenant(&self.record, &decided)
            .await
        {
            Ok(Written::Done(written)) => {
                let before = &self.record.status.conditions;
                let news = announcements(Kind::CalendarTenant, before, &decided.conditions);
                self.context
                    .publisher
                    .publish(Kind::CalendarTenant, &self.record, news);
                self.remember();
                self.context.tenant_written(&written);
                Passed::Changed
            }
            Ok(Written::Gone) => Passed::Unchanged,
            // The watch brings what changed, and the pass is due again.
            Ok(Written::Conflict) => {
                self.fail();
                Passed::Failed
            }
            // The next leader does it all again.
            Err(WriteError::NotLeading) => Passed::Failed,
            Err(error) => {
                tracing::warn!(tenant = %self.record.key, %error, "the status could not be written; it is tried again");
                self.fail();
                Passed::Failed
            }
        }
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
