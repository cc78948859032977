//! OData query options: which ones a call takes, projection by `$select`, and pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::error::{Refusal, bad_request, not_imitated};
use crate::call::Call;

/// Options that OData defines: Graph might take them where the emulator does not.
const SYSTEM_OPTIONS: &[&str] = &[
    "apply",
    "compute",
    "count",
    "deltatoken",
    "expand",
    "filter",
    "format",
    "index",
    "orderby",
    "schemaversion",
    "search",
    "select",
    "skip",
    "skiptoken",
    "top",
];

/// The query options of one call.
#[derive(Debug, Default)]
pub(crate) struct Query {
    options: Vec<(String, String)>,
}

impl Query {
    /// Reads the options; one that the call does not take is not imitated.
    pub(crate) fn read(call: &Call, taken: &[&str]) -> Result<Self, Refusal> {
        let mut options: Vec<(String, String)> = Vec::new();
        let raw = call.query.as_deref().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let system = name.starts_with('$');
            let name = name.trim_start_matches('$').to_lowercase();
            if system && !SYSTEM_OPTIONS.contains(&name.as_str()) {
                let message = format!("The query parameter '${name}' is not supported.");
                return Err(bad_request(message).into());
            }
            if !taken.contains(&name.as_str()) {
                return Err(not_imitated(format!("query option ${name}")));
            }
            if options.iter().any(|(known, _)| *known == name) {
                return Err(bad_request(format!(
                    "Query option '${name}' was specified more than once, but it must be specified \
                     at most once."
                ))
                .into());
            }
            options.push((name, value.into_owned()));
        }
        Ok(Self { options })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names in `$select`.
    pub(crate) fn select(&self) -> Option<Vec<&str>> {
        let names = self.get("select")?;
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        (!names.contains(&"*")).then_some(names)
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let invalid = || {
            bad_request(format!(
                "Invalid value '{text}' for ${name} query option found. The ${name} query option \
                 requires a non-negative integer value."
            ))
        };
        Ok(Some(text.parse().map_err(|_| invalid())?))
    }

    /// The number in `$top`.
    pub(crate) fn top(&self, most: usize) -> Result<Option<usize>, Refusal> {
        let top = self.number("top")?;
        if top.is_some_and(|top| top == 0 || top > most) {
            return Err(bad_request(format!(
                "Invalid page size specified: '{}'. Must be between 1 and {most} inclusive.",
                self.get("top").unwrap_or_default()
            ))
            .into());
        }
        Ok(top)
    }

    fn start(&self) -> Result<usize, Refusal> {
        let Some(token) = self.get("skiptoken") else {
            return Ok(self.number("skip")?.unwrap_or_default());
        };
        let position = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.strip_prefix("from ")?.parse().ok());
        position.ok_or_else(|| bad_request("Skip token is not valid.").into())
    }
}

/// Refuses wishes in `Prefer` that would change the answer and that are not imitated. Ids never change, so
/// that they are immutable whether or not a caller asks for that.
pub(crate) fn check_preferences(call: &Call) -> Result<(), Refusal> {
    const WITHOUT_EFFECT: &[&str] = &[
        "idtype=\"immutableid\"",
        "include-unknown-enum-members",
        "outlook.timezone=\"utc\"",
    ];
    let values = call.headers.get_all("prefer").iter();
    let values = values.filter_map(|value| value.to_str().ok());
    for wish in values.flat_map(|value| value.split(',')) {
        let plain = wish.replace(' ', "").to_lowercase();
        if !WITHOUT_EFFECT.contains(&plain.as_str()) {
            return Err(not_imitated(format!("Prefer: {}", wish.trim())));
        }
    }
    Ok(())
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    next: Option<usize>,
    total: Option<usize>,
}

/// Cuts a page out of a list.
pub(crate) fn page<T>(
    all: impl ExactSizeIterator<Item = T>,
    query: &Query,
    usual: usize,
    most: usize,
) -> Result<Page<T>, Refusal> {
    let size = query.top(most)?.unwrap_or(usual);
    let start = query.start()?;
    let total = all.len();
    let end = start.saturating_add(size);
    let counted = query.get("count").is_some_and(|count| count == "true");
    Ok(Page {
        items: all.skip(start).take(size).collect(),
        next: (end < total).then_some(end),
        total: (counted && query.get("skiptoken").is_none()).then_some(total),
    })
}

impl<T> Page<T> {
    /// The collection, with its link to the next page.
    pub(crate) fn into_json(
        self,
        call: &Call,
        context: &str,
        mut item: impl FnMut(T) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let mut body = json!({"@odata.context": context_url(call, context)});
        if let Some(total) = self.total {
            body["@odata.count"] = total.into();
        }
        if let Some(next) = self.next {
            body["@odata.nextLink"] = next_link(call, next).into();
        }
        let items: Result<Vec<Value>, Refusal> = self.items.into_iter().map(&mut item).collect();
        body["value"] = items?.into();
        Ok(body)
    }
}

fn next_link(call: &Call, position: usize) -> String {
    let token = URL_SAFE_NO_PAD.encode(format!("from {position}"));
    let raw = call.query.as_deref().unwrap_or_default();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
        let plain = name.trim_start_matches('$').to_lowercase();
        if plain != "skiptoken" && plain != "skip" {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("$skiptoken", &token);
    let path = call.path.trim_start_matches('/');
    format!("{}{path}?{}", call.base, query.finish())
}

/// The `@odata.context` of an answer.
pub(crate) fn context_url(call: &Call, context: &str) -> String {
    format!("{}v1.0/$metadata#{context}", call.base)
}

/// Keeps what `$select` names, and annotations. A name that the object does not have is not imitated: Graph
/// may know it.
pub(crate) fn project(
    object: Value,
    select: Option<&[&str]>,
    always: &[&str],
) -> Result<Value, Refusal> {
    let (Some(select), Value::Object(object)) = (select, &object) else {
        return Ok(object);
    };
    let mut projected = Map::new();
    for (name, value) in object {
        let selected = select.iter().any(|one| one.eq_ignore_ascii_case(name));
        if selected || name.starts_with('@') || always.contains(&name.as_str()) {
            projected.insert(name.clone(), value.clone());
        }
    }
    let missing = select
        .iter()
        .find(|one| !object.keys().any(|name| name.eq_ignore_ascii_case(one)));
    match missing {
        Some(name) => Err(not_imitated(format!("property {name} in $select"))),
        None => Ok(Value::Object(projected)),
    }
}
