//! Which packages were linked, from what `cargo build --message-format=json` wrote.
//!
//! With `--target`, cargo keeps what runs on the building machine (build scripts, macros and all that they use) in
//! another folder than what goes into the program. So the folder of a library tells whether it is in the program.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::inputs::Error;

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    BuildFinished {
        success: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    filenames: Vec<String>,
}

/// Ids of the packages that are in the program.
pub(crate) fn linked(messages: &str, target: &str) -> Result<BTreeSet<String>, Error> {
    let folder = format!("/{target}/release/");
    let mut linked = BTreeSet::new();
    let mut finished = false;
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line).map_err(|error| unreadable(&error))? {
            Message::CompilerArtifact(artifact) => {
                if artifact.filenames.iter().any(|f| f.contains(&folder)) {
                    linked.insert(artifact.package_id);
                }
            }
            Message::BuildFinished { success } => finished = success,
            Message::Other => {}
        }
    }
    if finished {
        return Ok(linked);
    }
    Err(Error::Document {
        what: "messages of cargo build",
        message: "the build did not finish".to_owned(),
    })
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Document {
        what: "messages of cargo build",
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(package: &str, file: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"{package}","filenames":["{file}"]}}"#
        )
    }

    fn record(success: bool) -> String {
        [
            artifact("syn", "/t/release/deps/libsyn.rlib"),
            artifact("derive", "/t/release/deps/libderive.so"),
            artifact("aws", "/t/release/build/aws-1/build-script-build"),
            artifact("aws", "/t/arm-linux/release/deps/libaws.rlib"),
            artifact("program", "/t/arm-linux/release/program"),
            r#"{"reason":"build-script-executed","package_id":"only-script"}"#.to_owned(),
            format!(r#"{{"reason":"build-finished","success":{success}}}"#),
        ]
        .join("\n")
    }

    #[test]
    fn macros_and_build_scripts_are_not_in_the_program() {
        let linked = linked(&record(true), "arm-linux").unwrap();
        assert_eq!(Vec::from_iter(linked), ["aws", "program"]);
    }

    #[test]
    fn a_build_that_failed_has_no_bill() {
        assert!(linked(&record(false), "arm-linux").is_err());
    }
}
