//! The kinds of objects: where they are, and what becomes of an object that is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::schema::Schema;
use crate::validation::breaches;

/// What is particular about a kind.
#[derive(Clone, Debug)]
pub(crate) enum Nature {
    Namespace,
    Secret,
    ServiceAccount,
    Lease,
    Event,
    Custom(Custom),
}

/// A kind that a CustomResourceDefinition brings.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    schema: Value,
    /// Whether status and spec are written apart.
    pub(crate) has_status: bool,
    /// Paths that field selectors may name besides name and namespace.
    selectable: Vec<String>,
}

/// A kind.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) nature: Nature,
}

fn built_in(group: &str, kind: &str, plural: &str, nature: Nature) -> Resource {
    Resource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced: !matches!(nature, Nature::Namespace),
        nature,
    }
}

/// Those that every cluster has.
pub(crate) fn built_ins() -> Vec<Resource> {
    vec![
        built_in("", "Namespace", "namespaces", Nature::Namespace),
        built_in("", "Secret", "secrets", Nature::Secret),
        built_in(
            "",
            "ServiceAccount",
            "serviceaccounts",
            Nature::ServiceAccount,
        ),
        built_in("coordination.k8s.io", "Lease", "leases", Nature::Lease),
        built_in("events.k8s.io", "Event", "events", Nature::Event),
    ]
}

/// What a definition brings: one kind for each version that is served.
pub(crate) fn custom(definition: &CustomResourceDefinition) -> Vec<Resource> {
    let spec = &definition.spec;
    let served = spec.versions.iter().filter(|version| version.served);
    served
        .map(|version| {
            let schema = version.schema.as_ref();
            let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
            let status = version.subresources.as_ref();
            let selectable = version.selectable_fields.iter().flatten();
            let path = |field: &str| field.trim_start_matches('.').to_owned();
            Resource {
                group: spec.group.clone(),
                version: version.name.clone(),
                kind: spec.names.kind.clone(),
                plural: spec.names.plural.clone(),
                namespaced: spec.scope == "Namespaced",
                nature: Nature::Custom(Custom {
                    schema: serde_json::to_value(schema).unwrap_or_default(),
                    has_status: status.is_some_and(|all| all.status.is_some()),
                    selectable: selectable.map(|field| path(&field.json_path)).collect(),
                }),
            }
        })
        .collect()
}

impl Resource {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `leases.coordination.k8s.io`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        self.qualify(&self.plural)
    }

    /// A name with the group behind it.
    pub(crate) fn qualify(&self, name: &str) -> String {
        if self.group.is_empty() {
            name.to_owned()
        } else {
            format!("{name}.{}", self.group)
        }
    }

    /// Whether status and spec are written apart.
    pub(crate) fn has_status(&self) -> bool {
        matches!(&self.nature, Nature::Custom(custom) if custom.has_status)
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.nature, Nature::Custom(_))
    }

    /// Whether an object without a version may be written over whatever is there.
    pub(crate) fn updates_unconditionally(&self) -> bool {
        match &self.nature {
            Nature::Namespace | Nature::Secret | Nature::ServiceAccount | Nature::Event => true,
            Nature::Lease | Nature::Custom(_) => false,
        }
    }

    /// Whether a PUT may create.
    pub(crate) fn creates_on_update(&self) -> bool {
        match &self.nature {
            Nature::Lease | Nature::Event => true,
            Nature::Namespace | Nature::Secret | Nature::ServiceAccount | Nature::Custom(_) => {
                false
            }
        }
    }

    /// Whether `metadata.generation` counts changes.
    pub(crate) fn has_generation(&self) -> bool {
        self.is_custom()
    }

    /// Whether a delete that is done at once answers with the object instead of a `Status`.
    pub(crate) fn shows_what_it_deleted(&self) -> bool {
        matches!(self.nature, Nature::ServiceAccount)
    }

    /// The field that a selector names; `None` when it may not.
    pub(crate) fn selectable<'a>(&self, path: &str, object: &'a Value) -> Option<&'a str> {
        let known = match (&self.nature, path) {
            (_, "metadata.name")
            | (Nature::Secret, "type")
            | (Nature::Namespace, "status.phase") => true,
            (_, "metadata.namespace") => self.namespaced,
            (Nature::Custom(custom), _) => custom.selectable.iter().any(|field| field == path),
            (
                Nature::Namespace
                | Nature::Secret
                | Nature::ServiceAccount
                | Nature::Lease
                | Nature::Event,
                _,
            ) => false,
        };
        let pointer = format!("/{}", path.replace('.', "/"));
        known.then(|| {
            object
                .pointer(&pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        })
    }

    /// What is kept of an object that was sent, with its defaults.
    pub(crate) fn decode(&self, object: Value) -> Result<Value, String> {
        let mut object = match &self.nature {
            Nature::Namespace => typed::<Namespace>(object)?,
            Nature::Secret => secret(typed::<Secret>(object)?),
            Nature::ServiceAccount => typed::<ServiceAccount>(object)?,
            Nature::Lease => typed::<Lease>(object)?,
            Nature::Event => typed::<Event>(object)?,
            Nature::Custom(custom) => self.shaped(custom, object)?,
        };
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or("metadata is missing")?;
        metadata.remove("managedFields");
        metadata.remove("selfLink");
        metadata.retain(|_, value| !is_empty(value));
        Ok(object)
    }

    /// What an object breaks in a part of its schema.
    pub(crate) fn breaches(&self, part: &str, object: &Value) -> Vec<(String, String)> {
        let Nature::Custom(custom) = &self.nature else {
            return Vec::new();
        };
        match (Schema::new(&custom.schema).field(part), object.get(part)) {
            (Some(schema), Some(value)) => breaches(schema, value, part),
            (Some(_) | None, Some(_) | None) => Vec::new(),
        }
    }

    fn shaped(&self, custom: &Custom, object: Value) -> Result<Value, String> {
        let Value::Object(mut object) = object else {
            return Err("no object".to_owned());
        };
        let metadata = object.remove("metadata").unwrap_or_else(|| json!({}));
        let mut rest = Value::Object(object);
        Schema::new(&custom.schema).shape(&mut rest);
        rest["apiVersion"] = json!(self.api_version());
        rest["kind"] = json!(self.kind);
        rest["metadata"] = typed::<ObjectMeta>(metadata)?;
        Ok(rest)
    }
}

fn typed<T: DeserializeOwned + Serialize>(object: Value) -> Result<Value, String> {
    let said = |error: serde_json::Error| error.to_string();
    let typed: T = serde_json::from_value(object).map_err(said)?;
    serde_json::to_value(&typed).map_err(said)
}

/// Lists and maps without content are as good as absent.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// `stringData` becomes `data`, and a type is filled in.
fn secret(mut secret: Value) -> Value {
    let Some(object) = secret.as_object_mut() else {
        return secret;
    };
    let plain = object.remove("stringData");
    if let Some(Value::Object(plain)) = plain {
        let data = object
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        for (key, value) in plain {
            data[key] = json!(STANDARD.encode(value.as_str().unwrap_or_default()));
        }
    }
    object.retain(|name, value| name != "data" || !is_empty(value));
    object.entry("type").or_insert_with(|| json!("Opaque"));
    secret
}
