//! The shipped rules with every duration divided by the same number, so that hours become seconds.

use serde_json::{Value, json};

use super::super::alert_rules::rule_values;

/// A quarter of an hour becomes six seconds.
const PACE: u64 = 150;

/// The rule file.
pub(super) fn file() -> String {
    json!({"groups": [{"name": "paced", "rules": rules()}]}).to_string()
}

/// Every rule.
pub(super) fn rules() -> Vec<Value> {
    rule_values().into_iter().map(paced).collect()
}

fn paced(mut rule: Value) -> Value {
    for field in ["for", "keep_firing_for"] {
        if let Some(duration) = rule[field].as_str() {
            rule[field] = json!(divided(duration));
        }
    }
    rule["expr"] = json!(windows_divided(rule["expr"].as_str().unwrap()));
    rule
}

/// An expression with its windows and offsets divided: `[1h]`, `[1d:5m]`, `offset 1w`.
fn windows_divided(expression: &str) -> String {
    let mut result = String::new();
    let mut rest = expression;
    while let Some(at) = [rest.find('['), rest.find("offset ").map(|at| at + 6)]
        .into_iter()
        .flatten()
        .min()
    {
        let (before, mut after) = rest.split_at(at + 1);
        result += before;
        loop {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(after.len());
            result += &divided(&after[..end]);
            after = &after[end..];
            // The step of a subquery.
            let Some(step) = after.strip_prefix(':') else {
                break;
            };
            result.push(':');
            after = step;
        }
        rest = after;
    }
    result + rest
}

fn divided(duration: &str) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        other => panic!("{other} of {duration}"),
    };
    let milliseconds = number.parse::<u64>().unwrap() * seconds * 1000 / PACE;
    format!("{milliseconds}ms")
}
