//! The environment of a container: literal values and those that come from elsewhere.

use k8s_openapi::api::core::v1::{Container, EnvVarSource};

use super::expand::expanded;
use super::ground::{Contents, Ground, missing};
use crate::error::Error;

/// What every process has, before the pod says anything. Programs of ours need no search path; the shell that guards
/// them does.
fn basis(ground: &Ground) -> Vec<(String, String)> {
    let server = ground.server.trim_start_matches("https://");
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "443"));
    [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        (
            "HOSTNAME",
            ground.pod.metadata.name.as_deref().unwrap_or_default(),
        ),
        ("KUBERNETES_SERVICE_HOST", host),
        ("KUBERNETES_SERVICE_PORT", port),
    ]
    .into_iter()
    .chain(ground.proxy.as_deref().map(|proxy| ("HTTPS_PROXY", proxy)))
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// All variables, in their order: later ones may refer to earlier ones, and replace them.
pub(super) async fn variables(
    ground: &Ground,
    container: &Container,
) -> Result<Vec<(String, String)>, Error> {
    let mut variables = basis(ground);
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let (what, contents, optional) = match (&from.secret_ref, &from.config_map_ref) {
            (Some(secret), _) => {
                let name = &secret.name;
                (name, ground.secret(name).await?, secret.optional)
            }
            (None, Some(map)) => {
                let name = &map.name;
                (name, ground.config_map(name).await?, map.optional)
            }
            (None, None) => continue,
        };
        let contents = required(contents, what, optional)?;
        variables.extend(contents.into_iter().flatten().map(|(key, value)| {
            let value = String::from_utf8_lossy(&value).into_owned();
            (format!("{prefix}{key}"), value)
        }));
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value_from, &variable.value) {
            (Some(source), _) => from_elsewhere(ground, source).await?,
            (None, Some(text)) => Some(expanded(text, &variables)),
            (None, None) => Some(String::new()),
        };
        variables.extend(value.map(|value| (variable.name.clone(), value)));
    }
    Ok(variables)
}

/// A value by reference; nothing when it may be missing and is.
async fn from_elsewhere(ground: &Ground, source: &EnvVarSource) -> Result<Option<String>, Error> {
    if let Some(field) = &source.field_ref {
        return ground.field(&field.field_path).map(Some);
    }
    let (name, key, contents, optional) = if let Some(secret) = &source.secret_key_ref {
        let contents = ground.secret(&secret.name).await?;
        (&secret.name, &secret.key, contents, secret.optional)
    } else if let Some(map) = &source.config_map_key_ref {
        let contents = ground.config_map(&map.name).await?;
        (&map.name, &map.key, contents, map.optional)
    } else {
        return Err(missing("a variable", "resourceFieldRef is not played"));
    };
    let contents = required(contents, name, optional)?;
    let value = contents.as_ref().and_then(|contents| contents.get(key));
    match value {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(missing(name, &format!("it has no key {key}"))),
    }
}

/// The contents, unless they may be missing.
pub(super) fn required(
    contents: Option<Contents>,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<Contents>, Error> {
    match contents {
        None if optional != Some(true) => Err(missing(name, "there is no such object")),
        contents => Ok(contents),
    }
}
