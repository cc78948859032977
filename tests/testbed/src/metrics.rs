//! Reading what Prometheus would scrape. Histograms are their plain series; timestamps and exemplars are not expected.

use std::collections::BTreeMap;

/// One line of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the series.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|v| v == value))
    }
}

/// A scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// As it came.
    pub text: String,
    /// Line by line.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads the text format; what is not a sample is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            samples: text.lines().filter_map(parse_line).collect(),
        }
    }

    /// The sum of the series with this name and at least these labels; `None` when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut values = self
            .samples
            .iter()
            .filter(|sample| sample.name == name && sample.has(labels))
            .map(|sample| sample.value)
            .peekable();
        values.peek()?;
        Some(values.sum())
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, parse_labels(rest.strip_suffix('}')?)?),
        None => (series, BTreeMap::new()),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// `a="x",b="y"`, with `\\`, `\"` and `\n` inside the quotes.
fn parse_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start_matches(',');
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = quoted[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_some_of_their_labels() {
        let metrics = Metrics::parse(
            "# TYPE calls counter\ncalls{operation=\"token\",code=\"200\"} 3\n\
             calls{operation=\"token\",code=\"4\\\"9, }\"} 2\nleader 1\n",
        );
        assert_eq!(metrics.sum("calls", &[("operation", "token")]), Some(5.0));
        assert_eq!(metrics.sum("calls", &[("code", "4\"9, }")]), Some(2.0));
        assert_eq!(metrics.sum("calls", &[("code", "500")]), None);
        assert_eq!(metrics.sum("leader", &[]), Some(1.0));
    }
}
