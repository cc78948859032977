//! The token endpoint, with its faults.

use super::{Core, Outcome, Trace};
use crate::call::Call;
use crate::entra::token::{TokenForm, token};

impl Core {
    pub(super) async fn token(&self, call: &Call, tenant: &str, trace: &mut Trace) -> Outcome {
        let form = TokenForm::read(call);
        trace.client_id = form.client_id().map(str::to_owned);
        let fired = {
            let mut state = self.state();
            let known = state.data.directory.tenant(tenant);
            let id = known.map_or_else(|| tenant.to_owned(), |known| known.id.clone());
            trace.tenant = Some(id);
            let share = || self.ids.share();
            state
                .faults
                .fire(trace.operation, trace.tenant.as_deref(), None, share)
        };
        let trace = &*trace;
        self.with_fault(trace, fired, async |_| {
            match token(self, call, tenant, &form).await {
                Ok(answer) => answer,
                Err(refusal) => refusal.into_answer(&call.base, trace),
            }
        })
        .await
    }
}
