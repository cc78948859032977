//! The floor's turn: a bare program does the status writes alone, while Microsoft idles.

use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use testbed::error::{Attempt as _, Error};
use testbed::guard::Scratch;
use testbed::programs;
use tokio::process::Command;

use crate::ground::{Ground, Place};
use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::scenario::cold::{PEAK, PROCESSOR, PROCESSOR_EACH, STATUSES, TIME};
use crate::scenario::cold::{bytes, count, seconds_until};
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

/// Writes this status to every mailbox of a place.
pub(super) async fn turn(
    (ground, place): (&Ground, &Place),
    status: &Value,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    let mark = ground.control_plane.audit_mark().await?;
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
        .arg(format!("--concurrency={}", options.concurrency))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .attempt("run the floor")?;
    let spent: Spent = serde_json::from_slice(&output.stdout).map_err(|error| Error::Program {
        program: format!("the floor ({})", output.status),
        output: format!("{error}: {}", String::from_utf8_lossy(&output.stderr)),
    })?;
    let entries = ground.control_plane.audit_since(mark).await?;
    let tally = Tally::of(&entries, &place.user());
    let mailboxes = f64::from(options.mailboxes);
    let floor = &mut report.cold;
    floor.floor(&TIME, seconds_until(begin, &tally));
    floor.floor(&PROCESSOR, spent.cpu_seconds);
    floor.floor(&PROCESSOR_EACH, spent.cpu_seconds * 1000.0 / mailboxes);
    floor.floor(&PEAK, bytes(spent.peak));
    floor.floor(&STATUSES, count(tally.mailbox_statuses()) / mailboxes);
    Ok(())
}
