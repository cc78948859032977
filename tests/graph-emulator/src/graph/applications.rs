//! App registrations: what a person looks at to see when credentials end
//! (<https://learn.microsoft.com/graph/api/application-get>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::access::directory_role;
use super::error::{not_imitated, resource_not_found};
use super::query::{Query, context_url, project};
use super::{Reading, Result};
use crate::call::Answer;
use crate::entra::certificate::Described;
use crate::state::directory::ApplicationIndex;

/// The end of what never ends: the last day of the year in which Entra lets keys end that have no end.
const NEVER: &str = "2299-12-31T00:00:00Z";

/// The registration with this application ID. Only what was selected: the whole has dozens of properties.
pub(super) fn application(reading: &Reading<'_>, client_id: &str) -> Result {
    directory_role(
        reading.caller,
        &["Application.Read.All", "Application.ReadWrite.All"],
    )?;
    let query = Query::read(reading.call, &["select"])?;
    let Some(select) = query.select() else {
        return Err(not_imitated("an application without $select"));
    };
    let application = reading
        .tenant
        .application(client_id)
        .ok_or_else(|| resource_not_found(client_id))?;
    let mut body = project(registration(application), Some(&select), &[])?;
    body["@odata.context"] = context_url(reading.call, "applications/$entity").into();
    Ok(Answer::ok(body))
}

fn registration(application: &ApplicationIndex) -> Value {
    let spec = &application.spec;
    let keys = &application.key_ids;
    let secrets = spec.secrets.iter().zip(keys).map(|(secret, key_id)| {
        let ends = secret.expires_at.map(|at| at.to_string());
        json!({
            "customKeyIdentifier": null,
            "displayName": null,
            "endDateTime": ends.unwrap_or_else(|| NEVER.to_owned()),
            "hint": secret.value.chars().take(3).collect::<String>(),
            "keyId": key_id,
            "secretText": null,
            "startDateTime": null,
        })
    });
    let certificates = spec.certificates.iter();
    let certificates = certificates.zip(keys.iter().skip(spec.secrets.len()));
    let certificates = certificates.filter_map(|(certificate, key_id)| {
        let known = Described::of_pem(&certificate.pem)?;
        Some(json!({
            "customKeyIdentifier": known.thumbprint,
            "displayName": known.subject,
            "endDateTime": known.not_after,
            "key": STANDARD.encode(known.der),
            "keyId": key_id,
            "startDateTime": known.not_before,
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
        }))
    });
    json!({
        "id": application.object_id,
        "appId": spec.client_id,
        "displayName": spec.display_name,
        "passwordCredentials": secrets.collect::<Vec<_>>(),
        "keyCredentials": certificates.collect::<Vec<_>>(),
    })
}
