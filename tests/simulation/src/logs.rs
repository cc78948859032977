//! Log lines of the operator, as it writes them by default: read by the witness, and heard.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::witness::Witness;

/// What the program logs unless it is told otherwise, without the lines of the emulator.
const FILTER: &str = "info,kube_client=off,graph_emulator=off";

/// From now on lines go to `witness`.
pub(crate) fn listen(witness: &Witness) -> tracing::subscriber::DefaultGuard {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_env_filter(EnvFilter::new(FILTER))
        .with_writer(Lines(witness.clone()))
        .finish();
    tracing::subscriber::set_default(subscriber)
}

#[derive(Clone, Debug)]
struct Lines(Witness);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            witness: &self.0,
            text: Vec::new(),
        }
    }
}

/// One line, which is whole when it is dropped.
struct Line<'a> {
    witness: &'a Witness,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        self.witness.count("log lines");
        self.witness.read_impersonal("a log line", &text);
        if text.contains("\"message\":\"this copy leads\"") {
            // It knows what statuses say, and perhaps they could not say what was removed.
            self.witness.tried(None);
        }
        self.witness.note(format_args!("log {}", text.trim_end()));
    }
}
