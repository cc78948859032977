//! The token endpoint for applications: client credentials by secret, certificate or federation.
//!
//! Tokens for people (authorization code, refresh token, device code) are not imitated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use serde_json::json;
use url::form_urlencoded;

use super::error::{
    TokenRefusal, application_disabled, application_not_found, blocked_by_policy, expired_secret,
    invalid_client, invalid_request, invalid_scope, missing_parameter, no_credential,
    tenant_not_found, unknown_resource, unsupported_grant, wrong_secret,
};
use super::keys::signing_key;
use super::{certificate, federation, unknown_query};
use crate::call::{Answer, Call};
use crate::core::Core;
use crate::ids::Ids;
use crate::state::directory::{ApplicationIndex, TenantIndex};
use crate::world::Application;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Fields that clients send; those without an effect here are telemetry or for other grants.
const KNOWN_FIELDS: &[&str] = &[
    "grant_type",
    "client_id",
    "scope",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
    "claims",
    "client_info",
    "client-request-id",
    "return-client-request-id",
];

/// Options that clients write into the URL.
const KNOWN_OPTIONS: &[&str] = &["client-request-id", "return-client-request-id"];

/// Grants that Entra knows.
const OTHER_GRANTS: &[&str] = &[
    "authorization_code",
    "device_code",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml1_1-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
];

/// The form of a token request.
#[derive(Clone, Debug)]
pub(crate) struct TokenForm {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl TokenForm {
    pub(crate) fn read(call: &Call) -> Self {
        let decoded = |text: &str| {
            form_urlencoded::parse(format!("x={text}").as_bytes())
                .next()
                .map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let basic = call
            .header("authorization")
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .map(|(_, text)| text.trim())
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| {
                let (client_id, secret) = text.split_once(':')?;
                Some((decoded(client_id), decoded(secret)))
            });
        // Entra finds no field in a body of another kind.
        let kind = call.header("content-type").unwrap_or_default();
        let is_form = kind
            .to_lowercase()
            .starts_with("application/x-www-form-urlencoded");
        let body = if is_form { &call.body[..] } else { &[] };
        Self {
            fields: form_urlencoded::parse(body).into_owned().collect(),
            basic,
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.get("client_id")
            .or_else(|| self.basic.as_ref().map(|(client_id, _)| client_id.as_str()))
    }

    fn secret(&self) -> Option<&str> {
        self.get("client_secret")
            .or_else(|| self.basic.as_ref().map(|(_, secret)| secret.as_str()))
    }

    fn unknown_field(&self) -> Option<&str> {
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        names
            .filter(|name| !name.starts_with("x-"))
            .find(|name| !KNOWN_FIELDS.contains(name))
    }
}

/// What the token is for, and what it will say.
struct Grant {
    tenant: String,
    audience: String,
    application: Application,
    principal_id: String,
    by_assertion: bool,
}

/// Answers one token request.
pub(crate) async fn token(
    core: &Core,
    call: &Call,
    tenant: &str,
    form: &TokenForm,
) -> Result<Answer, TokenRefusal> {
    if let Some(name) = form.unknown_field() {
        return Err(TokenRefusal::NotImitated(format!(
            "token request field {name}"
        )));
    }
    if let Some(name) = unknown_query(call, KNOWN_OPTIONS) {
        return Err(TokenRefusal::NotImitated(format!("query option {name}")));
    }
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(other) if OTHER_GRANTS.contains(&other) => {
            return Err(TokenRefusal::NotImitated(format!("grant_type {other}")));
        }
        Some(other) => return Err(unsupported_grant(other).into()),
        None => return Err(missing_parameter("grant_type").into()),
    }
    let directory = core.state().data.directory.clone();
    let now = core.clock.now();
    let (found, application) = application(directory.tenant(tenant), tenant, form)?;
    let by_assertion = authenticate(core, call, (tenant, found), application, form).await?;
    let spec = &application.spec;
    if spec.disabled {
        let name = spec.display_name.as_deref().unwrap_or("application");
        return Err(application_disabled(&spec.client_id, name).into());
    }
    if spec.blocked_by_policy {
        return Err(blocked_by_policy().into());
    }
    let grant = Grant {
        tenant: found.id.clone(),
        audience: audience(form.get("scope"), &call.base, &found.id)?,
        application: spec.clone(),
        principal_id: application.principal_id.clone(),
        by_assertion,
    };
    let lifetime = directory.world.limits.token_lifetime;
    let lifetime =
        lifetime.map(|lifetime| i64::try_from(lifetime.as_secs().max(1)).unwrap_or(i64::MAX));
    issue(&grant, lifetime, &core.ids, now).map_err(Into::into)
}

fn application<'a>(
    tenant: Option<&'a TenantIndex>,
    name: &str,
    form: &TokenForm,
) -> Result<(&'a TenantIndex, &'a ApplicationIndex), TokenRefusal> {
    if matches!(
        name.to_lowercase().as_str(),
        "common" | "organizations" | "consumers"
    ) {
        let text = "No tenant-identifying information found in either the request or implied by any \
                    provided credentials.";
        return Err(invalid_request(50_059, text).into());
    }
    let tenant = tenant.ok_or_else(|| tenant_not_found(name))?;
    let client_id = form
        .client_id()
        .ok_or_else(|| missing_parameter("client_id"))?;
    let application = tenant
        .application(client_id)
        .ok_or_else(|| application_not_found(client_id, &tenant.display_name))?;
    Ok((tenant, application))
}

/// Checks the credential; whether it was an assertion.
async fn authenticate(
    core: &Core,
    call: &Call,
    (name, tenant): (&str, &TenantIndex),
    application: &ApplicationIndex,
    form: &TokenForm,
) -> Result<bool, TokenRefusal> {
    let spec = &application.spec;
    let now = core.clock.now();
    match (form.get("client_assertion"), form.secret()) {
        (Some(_), _) if form.get("client_assertion_type") != Some(JWT_BEARER) => {
            Err(missing_parameter("client_assertion_type").into())
        }
        (Some(assertion), _) => {
            let claims = certificate::Claims::read(assertion)?;
            if claims.iss == spec.client_id || spec.federated.is_empty() && claims.is_own() {
                let audiences: Vec<String> = [name, &tenant.id]
                    .iter()
                    .flat_map(|tenant| {
                        let base = &call.base;
                        [
                            format!("{base}{tenant}/oauth2/v2.0/token"),
                            format!("{base}{tenant}/v2.0"),
                        ]
                    })
                    .collect();
                certificate::check(assertion, &claims, spec, &audiences, now)?;
            } else {
                federation::check(&core.outgoing, assertion, &claims, spec, now).await?;
            }
            Ok(true)
        }
        (None, Some(secret)) => secret_matches(spec, secret, now).map(|()| false),
        (None, None) => Err(no_credential().into()),
    }
}

fn secret_matches(
    application: &Application,
    secret: &str,
    now: Timestamp,
) -> Result<(), TokenRefusal> {
    let known = application
        .secrets
        .iter()
        .filter(|known| known.value == secret);
    let mut expired = false;
    for known in known {
        match known.expires_at {
            Some(end) if end <= now => expired = true,
            Some(_) | None => return Ok(()),
        }
    }
    Err(if expired {
        expired_secret(&application.client_id).into()
    } else {
        wrong_secret(&application.client_id).into()
    })
}

const GRAPH_RESOURCES: &[&str] = &[
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
    "00000003-0000-0000-c000-000000000000",
];

/// Whether a resource or an audience is Graph: by its names, or by the address of the emulator.
pub(super) fn is_graph(resource: &str, base: &str) -> bool {
    let resource = resource.trim_end_matches('/');
    GRAPH_RESOURCES.contains(&resource) || resource == base.trim_end_matches('/')
}

fn audience(scope: Option<&str>, base: &str, tenant: &str) -> Result<String, TokenRefusal> {
    let scope = scope.ok_or_else(|| missing_parameter("scope"))?;
    let mut scopes = scope.split_whitespace();
    let (Some(one), None) = (scopes.next(), scopes.next()) else {
        return Err(invalid_scope(scope).into());
    };
    let resource = one
        .strip_suffix("/.default")
        .ok_or_else(|| invalid_scope(scope))?;
    if is_graph(resource, base) {
        Ok(resource.to_owned())
    } else {
        Err(unknown_resource(resource, tenant).into())
    }
}

fn issue(
    grant: &Grant,
    lifetime: Option<i64>,
    ids: &Ids,
    now: Timestamp,
) -> Result<Answer, super::error::EntraError> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of 1,800 is a small number"
    )]
    let lifetime = lifetime.unwrap_or_else(|| 3_600 + (ids.share() * 1_800.0) as i64);
    let issued = now.as_second();
    let application = &grant.application;
    let mut claims = json!({
        "aud": grant.audience,
        "iss": format!("https://sts.windows.net/{}/", grant.tenant),
        "iat": issued,
        "nbf": issued,
        "exp": issued.saturating_add(lifetime),
        "appid": application.client_id,
        "appidacr": if grant.by_assertion { "2" } else { "1" },
        "app_displayname": application.display_name.as_deref().unwrap_or("application"),
        "idtyp": "app",
        "oid": grant.principal_id,
        "sub": grant.principal_id,
        "tid": grant.tenant,
        "uti": ids.fresh("token").simple().to_string(),
        "ver": "1.0",
    });
    if !application.roles.is_empty() {
        claims["roles"] = application.roles.clone().into();
    }
    let key = signing_key();
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.clone());
    header.x5t = Some(key.id.clone());
    let token = jsonwebtoken::encode(&header, &claims, &key.sign)
        .map_err(|error| invalid_client(90_033, format!("The token was not signed: {error}.")))?;
    Ok(Answer::ok(json!({
        "token_type": "Bearer",
        "expires_in": lifetime - 1,
        "ext_expires_in": lifetime - 1,
        "refresh_in": lifetime / 2,
        "access_token": token,
    })))
}
