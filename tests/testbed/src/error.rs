//! What can go wrong while a testbed is set up. Says what was attempted; the cause is the source.

use std::time::Duration;

/// A testbed could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a child could not be used.
    #[error("cannot {attempt}: {source}")]
    Io {
        /// What was attempted, on what.
        attempt: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The API server refused or could not be reached.
    #[error("cannot {attempt}: {source}")]
    Kube {
        /// What was attempted, on what.
        attempt: String,
        /// What the client said.
        source: Box<kube::Error>,
    },
    /// A program ended or said something unexpected.
    #[error("{program} failed: {output}")]
    Program {
        /// Which program.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// A document is not what it should be.
    #[error("cannot read {what}: {message}")]
    Document {
        /// Which document.
        what: String,
        /// Where and why.
        message: String,
    },
    /// A condition did not hold in time.
    #[error("not within {deadline:?}: {what}")]
    Deadline {
        /// What was waited for, and what was seen instead.
        what: String,
        /// How long.
        deadline: Duration,
    },
}

/// Says what was attempted when a result is an error.
pub trait Attempt<T> {
    /// `attempt` completes the sentence "cannot …".
    fn attempt(self, attempt: impl Into<String>) -> Result<T, Error>;
}

impl<T> Attempt<T> for Result<T, std::io::Error> {
    fn attempt(self, attempt: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            attempt: attempt.into(),
            source,
        })
    }
}

impl<T> Attempt<T> for Result<T, kube::Error> {
    fn attempt(self, attempt: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::Kube {
            attempt: attempt.into(),
            source: Box::new(source),
        })
    }
}
