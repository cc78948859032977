//! On what was measured: a class of machine, not a name.

use std::fs;
use std::thread::available_parallelism;

/// Processor, cores and memory in one line.
#[must_use]
pub fn description() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = value(&processors, "model name").unwrap_or("unknown processor");
    let cores = available_parallelism().map_or(1, usize::from);
    let kibibytes = value(&memory, "MemTotal").and_then(|text| text.split_whitespace().next());
    let gibibytes = kibibytes.and_then(|text| text.parse::<u64>().ok());
    let gibibytes = gibibytes.map_or(0, |number| number >> 20);
    format!("{model}, {cores} cores, {gibibytes} GiB of memory, Linux")
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(known, _)| known.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(value(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(value(text, "flags"), None);
    }
}
