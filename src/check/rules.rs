//! The CEL rules of our own schemas, judged without an API server.
//!
//! This is no interpreter of CEL. It reads the rules that `api` writes, clause by clause, so that their patterns and
//! bounds have one home; a test says when there is one that it cannot read.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use url::Url;

use crate::domain::schedule::go_duration;

/// Whether a value obeys a rule; none when the rule cannot be read here.
#[must_use]
pub fn holds(rule: &str, value: &Value) -> Option<bool> {
    if let Some(verdict) = of_objects(rule, value) {
        return Some(verdict);
    }
    if let Some(inner) = rule
        .strip_prefix("self.all(d, ")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        let clause = inner.strip_prefix("d.")?;
        let items = value.as_array()?;
        return items
            .iter()
            .map(|item| holds(&format!("self.{clause}"), item))
            .try_fold(true, |all, one| Some(all && one?));
    }
    let mut all = true;
    for clause in clauses(rule) {
        all = holds_clause(clause, value)? && all;
    }
    Some(all)
}

/// Rules about several fields at once, word for word.
fn of_objects(rule: &str, value: &Value) -> Option<bool> {
    let has = |field: &str| value.get(field).is_some();
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    let count = |field: &str| value[field].as_array().map_or(0, Vec::len);
    match rule {
        // Nothing is there yet that could be changed.
        "self == oldSelf" => Some(true),
        "[has(self.clientSecret), has(self.certificate), has(self.workloadIdentity)].filter(x, x).size() == 1" =>
        {
            let kinds = ["clientSecret", "certificate", "workloadIdentity"];
            Some(kinds.into_iter().filter(|kind| has(kind)).count() == 1)
        }
        "(self.from == 'Selector') == has(self.selector)" => {
            Some((text("from") == "Selector") == has("selector"))
        }
        "!has(self.isolationProbe) || !has(self.testMailbox) || self.isolationProbe.mailbox.lowerAscii() != self.testMailbox.lowerAscii()" =>
        {
            let closed = value["isolationProbe"]["mailbox"].as_str();
            let written = value["testMailbox"].as_str();
            Some(!matches!((closed, written), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b)))
        }
        "self.operator in ['In', 'NotIn'] ? (has(self.values) && size(self.values) > 0) : (!has(self.values) || size(self.values) == 0)" =>
        {
            let needs_values = ["In", "NotIn"].contains(&text("operator"));
            Some(needs_values == (count("values") > 0))
        }
        _ => None,
    }
}

/// The parts of a conjunction; `&&` within a pattern is none.
fn clauses(rule: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    let bytes = rule.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'\'' => quoted = !quoted,
            b'&' if !quoted && rule[at..].starts_with("&&") => {
                parts.push(rule[start..at].trim());
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(rule[start..].trim());
    parts
}

fn holds_clause(clause: &str, value: &Value) -> Option<bool> {
    if let Some(rest) = clause.strip_prefix('!') {
        return holds_clause(rest, value).map(|holds| !holds);
    }
    let text = value.as_str()?;
    if let Some(pattern) = argument(clause, "self.matches(", ")") {
        let regex = Regex::new(&in_rust(&pattern)).ok()?;
        return Some(regex.is_match(text));
    }
    if let Some(least) = argument(clause, "duration(self) >= duration(", ")") {
        return compare(text, &least, |own, bound| own >= bound);
    }
    if let Some(most) = argument(clause, "duration(self) <= duration(", ")") {
        return compare(text, &most, |own, bound| own <= bound);
    }
    match clause {
        "isURL(self)" => Some(Url::parse(text).is_ok()),
        "url(self).getHostname() != ''" => Some(
            Url::parse(text).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty())),
        ),
        _ => None,
    }
}

/// A bracket alone in a class, as RE2 allows it, begins a class within a class here.
fn in_rust(pattern: &str) -> String {
    pattern.replace("[[]", r"\[").replace("[]]", r"\]")
}

/// The text between quotes, without CEL's escapes.
fn argument(clause: &str, before: &str, after: &str) -> Option<String> {
    let literal = clause.strip_prefix(before)?.strip_suffix(after)?;
    let literal = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let (mut text, mut escaped) = (String::new(), false);
    for c in literal.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (_, c) => {
                text.push(c);
                escaped = false;
            }
        }
    }
    Some(text)
}

/// What is no duration does not hold: another clause of the same rule says what it must look like.
fn compare(text: &str, bound: &str, holds: fn(Duration, Duration) -> bool) -> Option<bool> {
    let bound = go_duration::parse(bound).ok()?;
    Some(go_duration::parse(text).is_ok_and(|own| holds(own, bound)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clauses_end_at_an_and_that_is_not_quoted() {
        assert_eq!(clauses("a && b"), ["a", "b"]);
        assert_eq!(
            clauses(r"self.matches('a&&b\'&&') && !c"),
            [r"self.matches('a&&b\'&&')", "!c"]
        );
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_not_judged() {
        for rule in ["self.size() > 3", "self.matches('(') && true", "true"] {
            assert_eq!(holds(rule, &json!("text")), None, "{rule}");
        }
    }

    #[test]
    fn patterns_lists_and_bounds_are_judged() {
        let cases = [
            ("self.matches('^a\\\\.b$')", json!("a.b"), true),
            ("self.matches('^a\\\\.b$')", json!("a-b"), false),
            ("self.matches('^[[]::1[]]$')", json!("[::1]"), true),
            ("!self.matches('^a')", json!("b"), true),
            ("self.all(d, d.matches('^a$'))", json!(["a", "a"]), true),
            ("self.all(d, d.matches('^a$'))", json!(["a", "b"]), false),
            ("duration(self) >= duration('5m')", json!("300s"), true),
            ("duration(self) <= duration('5m')", json!("6m"), false),
            ("duration(self) <= duration('5m')", json!("soon"), false),
        ];
        for (rule, value, expected) in cases {
            assert_eq!(holds(rule, &value), Some(expected), "{rule} {value}");
        }
    }
}
