//! Operations on the directory: organization, domains, users (docs/graph.md 3, 4).

use url::Url;

use crate::graph::classify;
use crate::graph::error::{ErrorClass, GraphError, Outage};
use crate::graph::gateway::{Request, TenantGateway, parse};
use crate::graph::model::{Domain, Organization, User};
use crate::graph::operation::Operation;
use crate::graph::wire::{Page, WireDomain, WireOrganization, WireUser};

const USER_FIELDS: &str = "id,displayName,mail,userPrincipalName,proxyAddresses,userType";

/// More pages than any list of ours has; a service that goes on forever is broken.
const MAX_PAGES: usize = 500;

impl TenantGateway {
    /// `GET /organization`: the tenant itself.
    pub async fn organization(&self) -> Result<Organization, GraphError> {
        let operation = Operation::GetOrganization;
        let request = Request::get(operation, self.url(&["organization"]));
        let answer = self.send(request).await?;
        let page: Page<WireOrganization> = parse(operation, &answer)?;
        match page.value.into_iter().next() {
            Some(organization) => Ok(organization.into()),
            None => Err(classify::nonsense(
                operation,
                &answer,
                "no organization in the answer",
            )),
        }
    }

    /// `GET /domains`: all of the tenant's domains, also those that are not verified.
    pub async fn domains(&self) -> Result<Vec<Domain>, GraphError> {
        let pages: Vec<WireDomain> = self
            .all_pages(Operation::ListDomains, self.url(&["domains"]))
            .await?;
        Ok(pages.into_iter().map(Domain::from).collect())
    }

    /// `GET /users?$filter=…`: who has `address`, as primary address or alias. Empty when nobody has.
    pub async fn find_users(&self, address: &str) -> Result<Vec<User>, GraphError> {
        let mut url = self.url(&["users"]);
        url.query_pairs_mut()
            .append_pair("$filter", &has_address(address))
            .append_pair("$select", USER_FIELDS);
        let users: Vec<WireUser> = self.all_pages(Operation::FindUsers, url).await?;
        Ok(users.into_iter().map(User::from).collect())
    }

    /// `GET /users/{id}`: by object id or sign-in name.
    pub async fn get_user(&self, id_or_upn: &str) -> Result<User, GraphError> {
        let operation = Operation::GetUser;
        let request =
            Request::get(operation, self.url(&["users", id_or_upn])).query("$select", USER_FIELDS);
        let answer = self.send(request).await?;
        parse::<WireUser>(operation, &answer).map(User::from)
    }

    /// Follows `@odata.nextLink` to the end.
    pub(super) async fn all_pages<T: serde::de::DeserializeOwned>(
        &self,
        operation: Operation,
        first: Url,
    ) -> Result<Vec<T>, GraphError> {
        let all = self.pages(operation, first, MAX_PAGES).await?;
        all.ok_or_else(|| GraphError {
            operation,
            class: ErrorClass::Unavailable(Outage::ServerErrors),
            detail: "the list has too many pages".to_owned(),
            request_id: None,
        })
    }

    /// Follows `@odata.nextLink`, on Graph's own host only; `None` when there are more than `most` pages.
    pub(super) async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        operation: Operation,
        first: Url,
        most: usize,
    ) -> Result<Option<Vec<T>>, GraphError> {
        let mut all = Vec::new();
        let mut url = first;
        for number in 1.. {
            let answer = self.send(Request::get(operation, url)).await?;
            let page: Page<T> = parse(operation, &answer)?;
            all.extend(page.value);
            let Some(next) = page.next else { break };
            if number >= most {
                return Ok(None);
            }
            url = Url::parse(&next)
                .ok()
                .filter(|next| self.is_own(next))
                .ok_or_else(|| {
                    classify::nonsense(operation, &answer, "the next page is on another host")
                })?;
        }
        Ok(Some(all))
    }
}

/// Whether `eq` minds the case of the prefix is not documented, so both are asked for.
fn has_address(address: &str) -> String {
    let address = address.replace('\'', "''");
    let has = |prefix| format!("proxyAddresses/any(p:p eq '{prefix}:{address}')");
    format!("{} or {}", has("SMTP"), has("smtp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apostrophe_cannot_end_the_filter() {
        assert_eq!(
            has_address("o'neil@contoso.example"),
            "proxyAddresses/any(p:p eq 'SMTP:o''neil@contoso.example') \
             or proxyAddresses/any(p:p eq 'smtp:o''neil@contoso.example')"
        );
    }
}
