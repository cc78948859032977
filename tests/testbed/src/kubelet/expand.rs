//! Text as the kubelet changes it: `$(VARIABLE)` in arguments, and mount paths, which here are other folders.

use std::path::PathBuf;

/// Replaces `$(NAME)` by its value. What is unknown stays as it is, and `$$` is a dollar sign.
pub(super) fn expanded(text: &str, variables: &[(String, String)]) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix("$(").and_then(|r| r.split_once(')'));
        let value = reference.and_then(|(name, after)| Some((value_of(name, variables)?, after)));
        if let Some((value, after)) = value {
            result.push_str(value);
            rest = after;
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result + rest
}

/// The last value of a variable counts.
fn value_of<'a>(name: &str, variables: &'a [(String, String)]) -> Option<&'a str> {
    let mut found = variables.iter().rev().filter(|(known, _)| known == name);
    found.next().map(|(_, value)| value.as_str())
}

/// Where a path of the container is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) inside: String,
    pub(super) outside: PathBuf,
}

/// Replaces paths of the container. A path begins where no path goes on, and ends with a whole name.
pub(super) fn relocated(text: &str, mounts: &[Mount]) -> String {
    // A mount may lie within another: the deeper one counts.
    let mut mounts: Vec<&Mount> = mounts.iter().collect();
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.inside.len()));
    let mut result = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let begins = !result.ends_with(|before: char| is_in_path(before) || before == '/');
        let found = mounts.iter().find_map(|mount| {
            let after = rest.strip_prefix(mount.inside.trim_end_matches('/'))?;
            let whole = after.is_empty() || !after.starts_with(is_in_path);
            (begins && whole).then_some((mount, after))
        });
        if let Some((mount, after)) = found {
            result.push_str(&mount.outside.to_string_lossy());
            rest = after;
        } else {
            result.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    result
}

fn is_in_path(character: char) -> bool {
    character.is_alphanumeric() || "._-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_the_kubelet_does() {
        let variables = [("A", "1"), ("B", "$(A)"), ("A", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (text, expected) in [
            ("--x=$(A)", "--x=2"),
            ("$(A)$(A)", "22"),
            ("$(B)", "$(A)"),
            ("$(MISSING)", "$(MISSING)"),
            ("$$(A)", "$(A)"),
            ("$A $( $", "$A $( $"),
            ("", ""),
        ] {
            assert_eq!(expanded(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn paths_of_the_container_become_those_of_this_machine() {
        let mount = |inside: &str, outside: &str| Mount {
            inside: inside.to_owned(),
            outside: outside.into(),
        };
        let mounts = [mount("/etc/tls", "/tmp/1"), mount("/etc/tls/ca", "/tmp/2")];
        for (text, expected) in [
            ("/etc/tls", "/tmp/1"),
            ("--dir=/etc/tls/tls.crt", "--dir=/tmp/1/tls.crt"),
            ("--dir=/etc/tls/ca/ca.crt", "--dir=/tmp/2/ca.crt"),
            ("/etc/tls,/etc/tls/ca", "/tmp/1,/tmp/2"),
            ("/etc/tlsx", "/etc/tlsx"),
            ("/srv/etc/tls", "/srv/etc/tls"),
        ] {
            assert_eq!(relocated(text, &mounts), expected, "{text}");
        }
    }
}
