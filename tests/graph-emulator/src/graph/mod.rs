//! Microsoft Graph v1.0, as far as calendar integrations need it.

pub(crate) mod access;
mod applications;
pub(crate) mod batch;
mod directory;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod payload;
mod places;
pub(crate) mod query;
pub(crate) mod subscriptions;
pub(crate) mod validation;

use crate::call::{Answer, Call};
use crate::route::Target;
use crate::state::Data;
use crate::state::directory::TenantIndex;
use crate::world::Behaviour;
use access::Caller;
use error::{Refusal, not_imitated};

pub(crate) type Result<T = Answer> = std::result::Result<T, Refusal>;

/// One call that changes nothing, and what it sees.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) call: &'a Call,
    pub(crate) caller: &'a Caller,
    pub(crate) data: &'a Data,
    pub(crate) tenant: &'a TenantIndex,
}

impl Reading<'_> {
    fn behaviour(&self) -> &Behaviour {
        &self.data.directory.world.behaviour
    }

    fn page_size(&self, usual: usize) -> usize {
        self.behaviour().page_size.unwrap_or(usual)
    }
}

/// Answers a call that changes nothing.
pub(crate) fn read(reading: &Reading<'_>, target: &Target) -> Result {
    match target {
        Target::Organization => directory::organization(reading),
        Target::Domains => directory::domains(reading),
        Target::Domain { name } => directory::domain(reading, name),
        Target::Application { client_id } => applications::application(reading, client_id),
        Target::Users => directory::users(reading),
        Target::User { name } => directory::user(reading, name),
        Target::Calendar { user } => places::calendar(reading, user),
        Target::Places => places::places(reading),
        Target::Place { name } => places::place(reading, name),
        Target::Event { user, id } => events::get(reading, user, id),
        Target::Subscriptions => subscriptions::list(reading),
        Target::Subscription { id } => subscriptions::get(reading, id),
        Target::Token { .. }
        | Target::OpenIdConfiguration { .. }
        | Target::SigningKeys { .. }
        | Target::InstanceDiscovery
        | Target::Events { .. }
        | Target::Reauthorize { .. }
        | Target::Batch => Err(not_imitated("a read of this")),
    }
}

/// The primary address of the mailbox that a call is about, or what the caller wrote.
pub(crate) fn mailbox_concerned(
    target: &Target,
    call: &Call,
    data: &Data,
    tenant: &TenantIndex,
) -> Option<String> {
    let named = |name: &str| {
        let account = tenant
            .mailbox(name)
            .or_else(|| tenant.place(name))
            .or_else(|| tenant.by_proxy_address(&format!("smtp:{name}")));
        account.map_or_else(|| name.to_owned(), |account| account.spec.address.clone())
    };
    match target {
        Target::User { name: user }
        | Target::Calendar { user }
        | Target::Events { user }
        | Target::Event { user, .. }
        | Target::Place { name: user } => Some(named(user)),
        Target::Users => {
            let query =
                query::Query::read(call, &["select", "filter", "top", "count", "skiptoken"]);
            let query = query.ok()?;
            let account = directory::subject_of_filter(tenant, query.get("filter")?)?;
            Some(account.spec.address.clone())
        }
        Target::Subscription { id } | Target::Reauthorize { id } => {
            Some(data.subscriptions.get(id)?.mailbox.clone())
        }
        Target::Subscriptions => {
            let body: serde_json::Value = serde_json::from_slice(&call.body).ok()?;
            let resource = body["resource"].as_str()?;
            let user = subscriptions::user_of_resource(resource)?;
            Some(named(&user))
        }
        Target::Token { .. }
        | Target::OpenIdConfiguration { .. }
        | Target::SigningKeys { .. }
        | Target::InstanceDiscovery
        | Target::Organization
        | Target::Domains
        | Target::Domain { .. }
        | Target::Application { .. }
        | Target::Places
        | Target::Batch => None,
    }
}
