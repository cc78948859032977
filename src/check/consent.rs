//! Where an administrator gives consent to an application.
//!
//! Two forms are documented. Without a redirect URI: `{login}/{tenant}/adminconsent`
//! (<https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent>), which suits applications that
//! have no page of their own. With one: `{login}/{tenant}/v2.0/adminconsent` and the scope `{graph}/.default`, which
//! stands for all permissions of the app registration (<https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>).

use url::Url;

use crate::controller::translate::endpoints;
use crate::domain::tenant::desired::TenantDesired;

/// The page to open.
#[must_use]
pub fn url(desired: &TenantDesired, redirect: Option<&Url>) -> Url {
    let hosts = endpoints(desired);
    let mut url = hosts.login;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(&desired.tenant_id);
        if redirect.is_some() {
            path.push("v2.0");
        }
        path.push("adminconsent");
    }
    let mut query = url.query_pairs_mut();
    query.append_pair("client_id", &desired.client_id);
    if let Some(redirect) = redirect {
        let graph = hosts.graph.as_str().trim_end_matches('/');
        query.append_pair("scope", &format!("{graph}/.default"));
        query.append_pair("redirect_uri", redirect.as_str());
    }
    drop(query);
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::endpoints::AllowedEndpoints;

    fn desired(cloud: &str) -> TenantDesired {
        let spec = json!({
            "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
            "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
            "cloud": cloud,
            "credential": {"workloadIdentity": {"serviceAccountName": "calendars"}},
        });
        let spec = serde_json::from_value(spec).unwrap();
        TenantDesired::from_spec("default", &spec, &AllowedEndpoints::default()).unwrap()
    }

    #[test]
    fn the_page_is_that_of_the_tenants_cloud() {
        let ids = "5f1d7a9c-1111-4000-8000-000000000001/adminconsent?client_id=5f1d7a9c-2222-4000-8000-000000000001";
        for (cloud, login) in [
            ("Worldwide", "https://login.microsoftonline.com"),
            ("USGovGCCHigh", "https://login.microsoftonline.us"),
            ("USGovDoD", "https://login.microsoftonline.us"),
            ("China", "https://login.partner.microsoftonline.cn"),
        ] {
            let url = url(&desired(cloud), None);
            assert_eq!(url.as_str(), format!("{login}/{ids}"), "{cloud}");
        }
    }

    #[test]
    fn with_a_redirect_uri_the_scope_is_everything_that_is_registered() {
        let redirect = Url::parse("https://portal.example/consented").unwrap();
        let url = url(&desired("USGovDoD"), Some(&redirect));
        assert_eq!(
            url.as_str(),
            "https://login.microsoftonline.us/5f1d7a9c-1111-4000-8000-000000000001/v2.0/adminconsent\
             ?client_id=5f1d7a9c-2222-4000-8000-000000000001\
             &scope=https%3A%2F%2Fdod-graph.microsoft.us%2F.default\
             &redirect_uri=https%3A%2F%2Fportal.example%2Fconsented"
        );
    }
}
