//! The token endpoint and the discovery documents, with their faults.

use super::{Core, Outcome, Trace};
use crate::call::Call;
use crate::entra::discovery;
use crate::entra::token::{TokenForm, token};
use crate::fault::Fired;
use crate::route::Target;

impl Core {
    pub(super) async fn token(&self, call: &Call, tenant: &str, trace: &mut Trace) -> Outcome {
        let form = TokenForm::read(call);
        trace.client_id = form.client_id().map(str::to_owned);
        let fired = self.fault_at(tenant, trace);
        let trace = &*trace;
        self.with_fault((&call.base, trace), fired, async |_| {
            match token(self, call, tenant, &form).await {
                Ok(answer) => answer,
                Err(refusal) => refusal.into_answer(&call.base, trace),
            }
        })
        .await
    }

    /// The discovery documents, with their faults.
    pub(super) async fn discovery(
        &self,
        call: &Call,
        target: &Target,
        trace: &mut Trace,
    ) -> Outcome {
        let fired = if let Target::OpenIdConfiguration { tenant } | Target::SigningKeys { tenant } =
            target
        {
            self.fault_at(tenant, trace)
        } else {
            self.fire(trace)
        };
        let trace = &*trace;
        self.with_fault((&call.base, trace), fired, async |_| {
            discovery::answer(&self.state().data, call, target, trace)
        })
        .await
    }

    /// The rule that fires for a call to this tenant, which the trace remembers by its id.
    fn fault_at(&self, tenant: &str, trace: &mut Trace) -> Option<Fired> {
        let known = self
            .state()
            .data
            .directory
            .tenant(tenant)
            .map(|known| known.id.clone());
        trace.tenant = Some(known.unwrap_or_else(|| tenant.to_owned()));
        self.fire(trace)
    }

    fn fire(&self, trace: &Trace) -> Option<Fired> {
        let share = || self.ids.share();
        let tenant = trace.tenant.as_deref();
        self.state()
            .faults
            .fire(trace.operation, tenant, None, share)
    }
}
