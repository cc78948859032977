//! What operators write, kept in memory and in one file for the whole test run, so that a test can search it all.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::archive;
use crate::error::{Attempt, Error};

/// Lines of one program.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    keeping: Keeping,
}

/// Whose lines they are.
#[derive(Clone, Copy, Debug)]
enum Keeping {
    /// The operator's, which must not say everything.
    Archived,
    /// Microsoft's, who may.
    InMemory,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            lines: Arc::default(),
            keeping: Keeping::Archived,
        }
    }
}

impl Logs {
    /// For a program that is not an operator.
    pub(crate) fn in_memory() -> Self {
        Self {
            keeping: Keeping::InMemory,
            ..Self::default()
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    pub(crate) fn matching(&self, text: &str) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.contains(text));
        lines
    }

    /// Collects what a child writes to both its outputs.
    pub(crate) fn follow_child(&self, child: &mut Child) -> Result<(), Error> {
        if let Some(output) = child.stdout.take() {
            self.follow(output)?;
        }
        if let Some(output) = child.stderr.take() {
            self.follow(output)?;
        }
        Ok(())
    }

    /// Collects until the output ends, on a thread of its own: tests have each their runtime.
    fn follow(&self, output: impl Read + Send + 'static) -> Result<(), Error> {
        let lines = Arc::clone(&self.lines);
        let mut archive = match self.keeping {
            Keeping::Archived => Some(archive::open(archive::LOGS)?),
            Keeping::InMemory => None,
        };
        thread::Builder::new()
            .name("operator-log".to_owned())
            .spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    // One write, so that lines of several operators do not mix. Without the file the test that
                    // reads it fails.
                    if let Some(archive) = &mut archive {
                        let _ = archive.write_all(format!("{line}\n").as_bytes());
                    }
                    lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line);
                }
            })
            .attempt("start a thread for the operator's log")?;
        Ok(())
    }
}
