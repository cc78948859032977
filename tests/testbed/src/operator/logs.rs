//! What operators write, kept in memory and in one file for the whole test run, so that a test can search it all.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::archive;
use crate::error::{Attempt, Error};

/// Lines of one operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<String>>>);

impl Logs {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0
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
        let lines = Arc::clone(&self.0);
        let mut archive = archive::open(archive::LOGS)?;
        thread::Builder::new()
            .name("operator-log".to_owned())
            .spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    // One write, so that lines of several operators do not mix. Without the file the test that
                    // reads it fails.
                    let _ = archive.write_all(format!("{line}\n").as_bytes());
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
