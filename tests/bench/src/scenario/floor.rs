//! The floor's turn: a bare program does the status writes alone, while Microsoft idles.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use testbed::error::{Attempt as _, Error};
use testbed::guard::Scratch;
use testbed::programs;
use tokio::process::Command;

use super::cold::{PEAK, Turn, count, requested, seconds_until, timed};
use super::writes::Manner;
use crate::options::Trial;
use crate::process::{self, Usage};
use crate::section::Cells;
use crate::tally::Tally;

/// What the bare program says of itself at its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// Statuses written.
    pub writes: u64,
    /// Processor time.
    pub cpu_seconds: f64,
    /// The most resident memory in bytes.
    pub peak: u64,
}

/// What it did, and what that took.
pub(super) struct Written {
    seconds: f64,
    usage: Usage,
    tally: Tally,
}

impl Written {
    pub(super) fn tell(&self, column: &mut Cells<'_>, trial: Trial<'_>) {
        timed(column, self.seconds, self.usage, trial);
        column.put(&PEAK, count(self.usage.peak));
        requested(column, &self.tally, trial);
    }
}

/// Writes this status to every mailbox of a place.
pub(super) async fn write_all(
    turn: Turn<'_>,
    status: &Value,
    manner: Manner,
) -> Result<Written, Error> {
    let (place, control_plane) = (turn.place, &turn.ground.control_plane);
    let mark = control_plane.audit_mark().await?;
    let scratch = Scratch::new()?;
    let file = scratch.path().join("status.json");
    std::fs::write(&file, status.to_string()).attempt("write the status")?;
    let begin = process::now();
    let output = Command::new(programs::path("floor").await?)
        .arg("--kubeconfig")
        .arg(&place.kubeconfig)
        .args(["--namespace", &place.namespace])
        .arg("--status")
        .arg(&file)
        .arg(format!("--manner={manner}"))
        .arg(format!("--concurrency={}", turn.trial.floor_concurrency))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .attempt("run the floor")?;
    let spent: Spent = serde_json::from_slice(&output.stdout).map_err(|error| Error::Program {
        program: format!("the floor ({})", output.status),
        output: format!("{error}: {}", String::from_utf8_lossy(&output.stderr)),
    })?;
    let entries = control_plane.audit_since(mark).await?;
    let tally = Tally::of(&entries, &place.user());
    Ok(Written {
        seconds: seconds_until(begin, &tally),
        usage: Usage {
            cpu: Duration::from_secs_f64(spent.cpu_seconds),
            peak: spent.peak,
            ..Usage::default()
        },
        tally,
    })
}
