//! Which objects a list or a watch is about.

use serde_json::Value;

use crate::failure::{Failure, bad_request, not_imitated};
use crate::resource::Resource;

/// One condition of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

/// A choice of objects of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// What keys begin with.
    pub(crate) prefix: String,
    labels: Vec<Term>,
    fields: Vec<Term>,
}

impl Filter {
    /// From what a query says.
    pub(crate) fn parse(
        resource: &Resource,
        prefix: String,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, Failure> {
        let labels = terms(labels)?;
        let fields = terms(fields)?;
        for term in &fields {
            match term {
                Term::Is(path, _) | Term::IsNot(path, _) => {
                    if resource.selectable(path, &Value::Null).is_none() {
                        return Err(bad_request(&format!("field label not supported: {path}")));
                    }
                }
                Term::Has(_) | Term::HasNot(_) => {
                    return Err(not_imitated("a field selector without a value"));
                }
            }
        }
        Ok(Self {
            prefix,
            labels,
            fields,
        })
    }

    /// Whether nothing but the namespace chooses.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn chooses(&self, resource: &Resource, key: &str, object: &Value) -> bool {
        key.starts_with(&self.prefix)
            && self
                .labels
                .iter()
                .all(|term| term.fits(label(object, term)))
            && self.fields.iter().all(|term| {
                let path = term.name();
                term.fits(resource.selectable(path, object))
            })
    }
}

fn label<'a>(object: &'a Value, term: &Term) -> Option<&'a str> {
    let labels = object.get("metadata")?.get("labels")?;
    labels.get(term.name())?.as_str()
}

impl Term {
    fn name(&self) -> &str {
        match self {
            Self::Is(name, _) | Self::IsNot(name, _) | Self::Has(name) | Self::HasNot(name) => name,
        }
    }

    fn fits(&self, found: Option<&str>) -> bool {
        match self {
            Self::Is(_, value) => found == Some(value),
            Self::IsNot(_, value) => found != Some(value),
            Self::Has(_) => found.is_some(),
            Self::HasNot(_) => found.is_none(),
        }
    }
}

fn terms(selector: Option<&str>) -> Result<Vec<Term>, Failure> {
    let parts = selector.into_iter().flat_map(|all| all.split(','));
    parts.map(|part| term(part.trim())).collect()
}

fn term(text: &str) -> Result<Term, Failure> {
    if text.contains(['(', ')', '\\', ' ', '<', '>']) {
        return Err(not_imitated("a selector with sets, escapes or comparisons"));
    }
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    if let Some(found) = text.split_once("!=") {
        let (name, value) = pair(found);
        return Ok(Term::IsNot(name, value));
    }
    if let Some(found) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (name, value) = pair(found);
        return Ok(Term::Is(name, value));
    }
    Ok(match text.strip_prefix('!') {
        Some(name) => Term::HasNot(name.to_owned()),
        None => Term::Has(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::built_ins;
    use serde_json::json;

    #[test]
    fn a_selector_chooses_by_labels_and_fields() {
        let secrets = built_ins().remove(1);
        let object = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "type": "Opaque"});
        let table = [
            (Some("x=1"), None, true),
            (Some("x==1,!y"), Some("metadata.name=a"), true),
            (Some("x"), Some("type!=Opaque"), false),
            (Some("x!=1"), None, false),
            (Some("y!=1"), None, true),
            (Some("y"), None, false),
            (None, Some("metadata.name=b"), false),
        ];
        for (labels, fields, expected) in table {
            let filter = Filter::parse(&secrets, "ns/".to_owned(), labels, fields).unwrap();
            let chosen = filter.chooses(&secrets, "ns/a", &object);
            assert_eq!(chosen, expected, "{labels:?} {fields:?}");
            assert!(!filter.chooses(&secrets, "ns-2/a", &object));
        }
    }

    #[test]
    fn a_selector_that_is_not_understood_is_refused() {
        let secrets = built_ins().remove(1);
        for (labels, fields, code) in [
            (Some("x in (a,b)"), None, 501),
            (None, Some("spec.other=1"), 400),
        ] {
            let refused = Filter::parse(&secrets, String::new(), labels, fields);
            assert_eq!(refused.unwrap_err().code, code);
        }
    }
}
