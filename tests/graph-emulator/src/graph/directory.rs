//! Organization, domains and users.

use serde_json::{Value, json};

use super::access::{Caller, directory_role};
use super::error::{Refusal, insufficient_privileges, resource_not_found};
use super::filter::{Filter, Queries};
use super::query::{Query, context_url, page, project};
use super::{Reading, Result};
use crate::call::Answer;
use crate::state::directory::{Account, TenantIndex};
use crate::world::{Domain, Location};

const DIRECTORY_PAGE: usize = 100;
const LARGEST_PAGE: usize = 999;

pub(super) fn organization(reading: &Reading<'_>) -> Result {
    directory_role(
        reading.caller,
        &[
            "Organization.Read.All",
            "User.Read.All",
            "Directory.Read.All",
        ],
    )?;
    let query = Query::read(reading.call, &["select"])?;
    let tenant = reading.tenant;
    let synced = tenant
        .mailboxes
        .iter()
        .any(|account| account.spec.location == Location::OnPremises);
    let verified = tenant.domains.iter().filter(|domain| domain.verified);
    let domains: Vec<Value> = verified
        .map(|domain| {
            json!({
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": domain.default,
                "isInitial": domain.initial,
                "name": domain.name,
                "type": "Managed",
            })
        })
        .collect();
    let organization = json!({
        "id": tenant.id,
        "displayName": tenant.display_name,
        "tenantType": "AAD",
        "onPremisesSyncEnabled": synced.then_some(true),
        "onPremisesLastSyncDateTime": null,
        "verifiedDomains": domains,
    });
    let organization = project(organization, query.select().as_deref(), &[])?;
    Ok(Answer::ok(json!({
        "@odata.context": context_url(reading.call, "organization"),
        "value": [organization],
    })))
}

pub(super) fn domains(reading: &Reading<'_>) -> Result {
    directory_role(reading.caller, &["Domain.Read.All", "Directory.Read.All"])?;
    let query = Query::read(reading.call, &["select", "top", "skiptoken"])?;
    let select = query.select();
    let usual = reading.page_size(DIRECTORY_PAGE);
    let page = page(reading.tenant.domains.iter(), &query, usual, LARGEST_PAGE)?;
    let body = page.into_json(reading.call, "domains", |domain| {
        project(domain_json(domain, reading.tenant), select.as_deref(), &[])
    })?;
    Ok(Answer::ok(body))
}

pub(super) fn domain(reading: &Reading<'_>, name: &str) -> Result {
    directory_role(reading.caller, &["Domain.Read.All", "Directory.Read.All"])?;
    let query = Query::read(reading.call, &["select"])?;
    let domain = reading
        .tenant
        .domains
        .iter()
        .find(|domain| domain.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| resource_not_found(name))?;
    let domain = domain_json(domain, reading.tenant);
    let mut body = project(domain, query.select().as_deref(), &[])?;
    body["@odata.context"] = context_url(reading.call, "domains/$entity").into();
    Ok(Answer::ok(body))
}

fn domain_json(domain: &Domain, tenant: &TenantIndex) -> Value {
    let name = domain.name.to_lowercase();
    let is_below = |root: &Domain| name.ends_with(&format!(".{}", root.name.to_lowercase()));
    let is_root = !tenant
        .domains
        .iter()
        .any(|root| root.verified && is_below(root));
    json!({
        "authenticationType": "Managed",
        "availabilityStatus": null,
        "id": domain.name,
        "isAdminManaged": true,
        "isDefault": domain.default,
        "isInitial": domain.initial,
        "isRoot": is_root,
        "isVerified": domain.verified,
        "supportedServices": if domain.verified { json!(["Email", "OfficeCommunicationsOnline"]) } else { json!([]) },
        "passwordValidityPeriodInDays": null,
        "passwordNotificationWindowInDays": null,
        "state": null,
    })
}

/// What the caller may see of a user.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Basic,
    Full,
}

const DEFAULT_PROPERTIES: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

fn profile(caller: &Caller) -> std::result::Result<Profile, Refusal> {
    if directory_role(caller, &["User.Read.All", "Directory.Read.All"]).is_ok() {
        return Ok(Profile::Full);
    }
    directory_role(caller, &["User.ReadBasic.All"])?;
    Ok(Profile::Basic)
}

pub(super) fn users(reading: &Reading<'_>) -> Result {
    let profile = profile(reading.caller)?;
    let query = Query::read(
        reading.call,
        &["select", "filter", "top", "skiptoken", "count"],
    )?;
    let found: Vec<&Account> = match query.get("filter") {
        Some(_) if profile == Profile::Basic => return Err(insufficient_privileges().into()),
        Some(filter) => Filter::parse(filter, queries(reading, &query))?.select(reading.tenant),
        None => reading.tenant.mailboxes.iter().collect(),
    };
    let usual = reading.page_size(DIRECTORY_PAGE);
    let page = page(found.into_iter(), &query, usual, LARGEST_PAGE)?;
    let select = query.select();
    let body = page.into_json(reading.call, "users", |account| {
        user_json(account, select.as_deref(), profile)
    })?;
    Ok(Answer::ok(body))
}

fn queries(reading: &Reading<'_>, query: &Query) -> Queries {
    let level = reading.call.header("consistencylevel");
    let eventual = level.is_some_and(|level| level.eq_ignore_ascii_case("eventual"));
    if eventual && query.get("count") == Some("true") {
        Queries::Advanced
    } else {
        Queries::Simple
    }
}

pub(super) fn user(reading: &Reading<'_>, name: &str) -> Result {
    let profile = profile(reading.caller)?;
    let query = Query::read(reading.call, &["select"])?;
    let account = reading
        .tenant
        .user(name)
        .ok_or_else(|| resource_not_found(name))?;
    let mut body = user_json(account, query.select().as_deref(), profile)?;
    body["@odata.context"] = context_url(reading.call, "users/$entity").into();
    Ok(Answer::ok(body))
}

fn user_json(
    account: &Account,
    select: Option<&[&str]>,
    profile: Profile,
) -> std::result::Result<Value, Refusal> {
    let spec = &account.spec;
    let is_room = spec.kind == crate::world::MailboxKind::Room;
    let mut user = json!({
        "businessPhones": [],
        "displayName": account.display_name,
        "givenName": null,
        "jobTitle": null,
        "mail": spec.address,
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
        "surname": null,
        "userPrincipalName": account.principal_name,
        "id": account.id,
    });
    user["accountEnabled"] = (!is_room && spec.location != Location::SoftDeleted).into();
    user["assignedPlans"] = json!([]);
    user["assignedLicenses"] = json!([]);
    user["mailNickname"] = spec.address.split('@').next().into();
    user["onPremisesSyncEnabled"] = (spec.location == Location::OnPremises)
        .then_some(true)
        .into();
    user["otherMails"] = json!([]);
    user["proxyAddresses"] = account.proxy_addresses.clone().into();
    user["userType"] = if spec.guest { "Guest" } else { "Member" }.into();
    let mut user = project(user, Some(select.unwrap_or(DEFAULT_PROPERTIES)), &[])?;
    if let (Profile::Basic, Value::Object(user)) = (profile, &mut user) {
        // What the basic profile does not have stays away, even if it was asked for.
        user.retain(|name, _| DEFAULT_PROPERTIES.contains(&name.as_str()));
    }
    Ok(user)
}

/// The account that a filter is about, for the journal.
pub(super) fn subject_of_filter<'a>(tenant: &'a TenantIndex, filter: &str) -> Option<&'a Account> {
    let filter = Filter::parse(filter, Queries::Simple).ok()?;
    let subject = filter.subject()?;
    let address = subject
        .split_once(':')
        .map_or(subject, |(_, address)| address);
    tenant
        .mailbox(address)
        .or_else(|| tenant.by_proxy_address(&format!("smtp:{address}")))
}
