//! OIDC discovery of a tenant, instance discovery of MSAL, and the signing keys.

use serde_json::json;

use super::error::tenant_not_found;
use super::keys::signing_key;
use super::unknown_query;
use crate::call::{Answer, Call};
use crate::core::Trace;
use crate::graph::error::not_imitated;
use crate::route::Target;
use crate::state::Data;

const KNOWN_OPTIONS: &[&str] = &["api-version", "appid", "authorization_endpoint"];

/// Answers what clients ask before they ask for a token.
pub(crate) fn answer(data: &Data, call: &Call, target: &Target, trace: &Trace) -> Answer {
    if let Some(name) = unknown_query(call, KNOWN_OPTIONS) {
        return not_imitated(format!("query option {name}")).into_answer(&trace.inner());
    }
    if let Target::OpenIdConfiguration { tenant } = target {
        configuration(data, call, tenant, trace)
    } else if let Target::SigningKeys { .. } = target {
        keys()
    } else {
        instance(call)
    }
}

/// `/{tenant}/v2.0/.well-known/openid-configuration`
fn configuration(data: &Data, call: &Call, tenant: &str, trace: &Trace) -> Answer {
    let base = &call.base;
    let Some(found) = data.directory.tenant(tenant) else {
        let mut refused = tenant_not_found(tenant);
        refused.error = "invalid_tenant";
        return refused.into_answer(base, trace);
    };
    let id = &found.id;
    Answer::ok(json!({
        "issuer": format!("{base}{id}/v2.0"),
        "authorization_endpoint": format!("{base}{id}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}{id}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}{id}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "msgraph_host": base.trim_end_matches('/').rsplit('/').next(),
    }))
}

/// `/{tenant}/discovery/v2.0/keys`
fn keys() -> Answer {
    Answer::ok(json!({"keys": [signing_key().public]}))
}

/// `/common/discovery/instance`
fn instance(call: &Call) -> Answer {
    let base = &call.base;
    let host = base
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let endpoint = call
        .query
        .as_deref()
        .and_then(|query| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == "authorization_endpoint")
                .and_then(|(_, value)| url::Url::parse(&value).ok())
        })
        .and_then(|url| Some(url.path_segments()?.next()?.to_owned()))
        .unwrap_or_else(|| "common".to_owned());
    Answer::ok(json!({
        "tenant_discovery_endpoint":
            format!("{base}{endpoint}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }))
}
