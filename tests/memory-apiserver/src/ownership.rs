//! Server-side apply of a status: whoever writes a field owns it, and what its only owner leaves out is removed.
//!
//! The rules are those of structured-merge-diff, which the real API server uses, for one version of a kind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use crate::schema::{ListType, Schema};

/// A step from an object or list to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    /// An item of a list, by its value or by its keys.
    Item(String),
}

type Path = Vec<Step>;
type Fields = BTreeSet<Path>;

/// How a field was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Apply,
    Update,
}

/// Who owns what of a status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Owners(BTreeMap<(String, Operation), Fields>);

/// A status and its kind's schema of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status<'a> {
    pub(crate) schema: Schema<'a>,
    pub(crate) live: &'a Value,
}

impl Owners {
    /// What becomes of a status when `manager` applies `config` with force.
    pub(crate) fn apply(&mut self, status: Status<'_>, manager: &str, config: &Value) -> Value {
        let Status { schema, live } = status;
        let mut merged = merge(schema, live, config);
        let me = (manager.to_owned(), Operation::Apply);
        let last = self.0.insert(me.clone(), owned(schema, config));
        if let Some(last) = last {
            let all_owned = closure(self.0.values().flatten());
            let left_out: Fields = &closure(&last) - &all_owned;
            merged = without(schema, &merged, &left_out, &mut Vec::new()).unwrap_or(Value::Null);
        }
        let Comparison { written, removed } = Comparison::of(schema, live, &merged);
        self.take(&(&written | &removed), &me);
        merged
    }

    /// `manager` wrote `new` over a status.
    pub(crate) fn update(&mut self, status: Status<'_>, manager: &str, new: &Value) {
        let Comparison { written, removed } = Comparison::of(status.schema, status.live, new);
        let me = (manager.to_owned(), Operation::Update);
        self.take(&(&written | &removed), &me);
        let mine = self.0.remove(&me).unwrap_or_default();
        let mine = &(&mine - &removed) | &written;
        if !mine.is_empty() {
            self.0.insert(me, mine);
        }
    }

    /// From everybody but `me`.
    fn take(&mut self, lost: &Fields, me: &(String, Operation)) {
        for (manager, fields) in &mut self.0 {
            if manager != me && !lost.is_empty() {
                *fields = &*fields - lost;
            }
        }
        self.0.retain(|_, fields| !fields.is_empty());
    }
}

struct Comparison {
    /// Added or modified.
    written: Fields,
    removed: Fields,
}

impl Comparison {
    fn of(schema: Schema<'_>, old: &Value, new: &Value) -> Self {
        let before = leaves(schema, old);
        let after = leaves(schema, new);
        let modified = after
            .iter()
            .filter(|(path, value)| before.get(*path).is_some_and(|old| old != *value))
            .map(|(path, _)| path.clone());
        let (old, new) = (closure(before.keys()), closure(after.keys()));
        let mut written: Fields = &new - &old;
        written.extend(modified);
        Self {
            written,
            removed: &old - &new,
        }
    }
}

fn owned(schema: Schema<'_>, value: &Value) -> Fields {
    leaves(schema, value).into_keys().collect()
}

/// With every field on the way.
fn closure<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Fields {
    let mut all = Fields::new();
    for path in paths {
        for end in 1..=path.len() {
            all.insert(path[..end].to_vec());
        }
    }
    all
}

/// Every field by itself; an item of a list also as a whole, without a value.
fn leaves<'a>(schema: Schema<'_>, value: &'a Value) -> BTreeMap<Path, Option<&'a Value>> {
    let mut found = BTreeMap::new();
    collect(schema, value, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(
    schema: Schema<'_>,
    value: &'a Value,
    path: &mut Path,
    found: &mut BTreeMap<Path, Option<&'a Value>>,
) {
    match value {
        Value::Object(object) if !object.is_empty() && !schema.is_atomic_map() => {
            for (name, value) in object {
                path.push(Step::Field(name.clone()));
                if !schema.names(name) {
                    found.entry(path.clone()).or_insert(None);
                }
                collect(field_of(schema, name), value, path, found);
                path.pop();
            }
        }
        Value::Array(items) if schema.list_type() != ListType::Atomic && !items.is_empty() => {
            for item in items {
                path.push(Step::Item(identity(&schema.list_type(), item)));
                found.insert(path.clone(), None);
                if item.is_object() {
                    collect(schema.items(), item, path, found);
                }
                path.pop();
            }
        }
        Value::Array(_)
        | Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            found.insert(path.clone(), Some(value));
        }
    }
}

/// What the schema does not know is pruned before anybody looks.
fn field_of<'a>(schema: Schema<'a>, name: &str) -> Schema<'a> {
    schema.field(name).unwrap_or_else(|| schema.items())
}

/// What makes an item the same item.
fn identity(kind: &ListType, item: &Value) -> String {
    match kind {
        ListType::Map(keys) => {
            let keys = keys.iter().map(|key| (key.clone(), item[key].clone()));
            Value::Object(keys.collect::<Map<_, _>>()).to_string()
        }
        ListType::Set | ListType::Atomic => item.to_string(),
    }
}

fn merge(schema: Schema<'_>, live: &Value, config: &Value) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config))
            if !(schema.is_atomic_map() || live.is_empty() && config.is_empty()) =>
        {
            let mut merged = live.clone();
            for (name, value) in config {
                let field = field_of(schema, name);
                let value = match live.get(name) {
                    Some(live) => merge(field, live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(config)) if schema.list_type() != ListType::Atomic => {
            Value::Array(Lists::new(schema, live, config).merged())
        }
        (_, config) => config.clone(),
    }
}

/// Two lists of items that have a name each.
struct Lists<'a> {
    schema: Schema<'a>,
    live: Vec<(String, &'a Value)>,
    config: Vec<(String, &'a Value)>,
    /// Names that both have, as they are applied.
    shared: VecDeque<String>,
}

impl<'a> Lists<'a> {
    fn new(schema: Schema<'a>, live: &'a [Value], config: &'a [Value]) -> Self {
        let kind = schema.list_type();
        let with_name = |item: &'a Value| (identity(&kind, item), item);
        let live: Vec<_> = live.iter().map(with_name).collect();
        let config: Vec<_> = config.iter().map(with_name).collect();
        let before: BTreeSet<&String> = live.iter().map(|(name, _)| name).collect();
        let names = config.iter().map(|(name, _)| name);
        let shared = names
            .filter(|name| before.contains(name))
            .cloned()
            .collect();
        Self {
            schema,
            live,
            config,
            shared,
        }
    }

    fn applied(&self, index: usize) -> Value {
        let (name, item) = &self.config[index];
        match self.live.iter().find(|(live, _)| live == name) {
            Some((_, live)) => merge(self.schema.items(), live, item),
            None => (*item).clone(),
        }
    }

    /// The steps are those of the original, since the order of what is stored depends on each of them.
    fn merged(mut self) -> Vec<Value> {
        let names: BTreeSet<String> = self.config.iter().map(|(name, _)| name.clone()).collect();
        let mut done = BTreeSet::new();
        let (mut out, mut left, mut right) = (Vec::new(), 0, 0);
        let mut awaited = self.shared.pop_front();
        while left < self.live.len() || right < self.config.len() {
            if left < self.live.len() {
                let (name, item) = &self.live[left];
                let applied = self.config.get(right).map(|(name, _)| name);
                if applied == Some(name) {
                    done.insert(name.clone());
                    out.push(self.applied(right));
                    (left, right) = (left + 1, right + 1);
                    awaited = self.shared.pop_front();
                    continue;
                }
                let is_awaited = awaited.as_ref().is_none_or(|awaited| awaited == name);
                if applied.is_some() && names.contains(name) && !is_awaited {
                    left += 1;
                    continue;
                }
                if !names.contains(name) {
                    out.push((*item).clone());
                    left += 1;
                    continue;
                }
                if done.contains(name) {
                    left += 1;
                }
            }
            if let Some((name, _)) = self.config.get(right) {
                done.insert(name.clone());
                out.push(self.applied(right));
                if awaited.as_ref() == Some(name) {
                    awaited = self.shared.pop_front();
                }
                right += 1;
            }
        }
        out
    }
}

/// Without some fields; nothing when nothing is left.
fn without(schema: Schema<'_>, value: &Value, gone: &Fields, path: &mut Path) -> Option<Value> {
    match value {
        Value::Object(object) if !schema.is_atomic_map() => {
            let mut kept = Map::new();
            for (name, value) in object {
                path.push(Step::Field(name.clone()));
                if !gone.contains(path)
                    && let Some(value) = without(field_of(schema, name), value, gone, path)
                {
                    kept.insert(name.clone(), value);
                }
                path.pop();
            }
            (object.is_empty() || !kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) if schema.list_type() != ListType::Atomic => {
            let mut kept = Vec::new();
            for item in items {
                path.push(Step::Item(identity(&schema.list_type(), item)));
                if !gone.contains(path) {
                    kept.extend(without(schema.items(), item, gone, path));
                }
                path.pop();
            }
            (items.is_empty() || !kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Array(_)
        | Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests;
