//! Log lines, to standard error, as JSON or for people. A line that cannot be written, because the disk is full or nobody
//! reads any more, is counted and stops nothing.
//!
//! What may be logged is up to those who log: no secrets, tokens, addresses, subjects or bodies.

use std::io::{self, IsTerminal, Write};

use prometheus::IntCounter;
use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, Logs};

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not a filter.
    #[error("cannot read the log filter {filter:?}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Another part of this process started logging before.
    #[error("cannot start logging twice")]
    Started(#[source] SetGlobalDefaultError),
}

/// Sends log lines to standard error from now on; `lost` counts those that cannot be written.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(logs: &Logs, lost: IntCounter) -> Result<(), TelemetryError> {
    let lines = Lossy {
        inner: io::stderr,
        lost,
    };
    let subscriber = subscriber(logs, io::stderr().is_terminal(), lines)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Started)
}

fn subscriber<W>(
    logs: &Logs,
    coloured: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::builder()
            .parse(&logs.filter)
            .map_err(|source| TelemetryError::Filter {
                filter: logs.filter.clone(),
                source,
            })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would tell standard error that standard error cannot be written to, and panic.
        .log_internal_errors(false)
        .with_writer(writer);
    Ok(match logs.format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
        LogFormat::Text => Box::new(lines.with_ansi(coloured).finish()),
    })
}

/// Counts the lines that its writers cannot write.
struct Lossy<W> {
    inner: W,
    lost: IntCounter,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Lossy<W> {
    type Writer = Lossy<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lossy {
            inner: self.inner.make_writer(),
            lost: self.lost.clone(),
        }
    }
}

impl<W: Write> Write for Lossy<W> {
    /// Each call brings a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.inner.write_all(line).is_err() {
            self.lost.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let lines = Lines::default();
        let logs = Logs {
            format,
            filter: filter.to_owned(),
        };
        let copy = lines.clone();
        let subscriber = subscriber(&logs, false, move || copy.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(operation.name = "getUser", "looked at a mailbox");
            tracing::debug!("a detail");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_are_flat_objects_with_time_level_and_message() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "looked at a mailbox");
        assert_eq!(line["operation.name"], "getUser");
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted_and_nothing_else_happens() {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let lines = Lossy {
            inner: Mutex::new(full.unwrap()),
            lost: lost.clone(),
        };
        let logs = Logs {
            format: LogFormat::Json,
            filter: "info".to_owned(),
        };
        let subscriber = subscriber(&logs, false, lines).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("first");
            tracing::info!("second");
        });
        assert_eq!(lost.get(), 2);
    }

    #[test]
    fn the_filter_decides_which_lines_appear() {
        assert_eq!(logged(LogFormat::Text, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Text, "warn").lines().count(), 0);
    }
}
