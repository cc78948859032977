//! Children and folders that never outlive the program that made them, however it ends.
//!
//! Each child leads a process group of its own, with a shell beside it that reads from a pipe whose other end only we
//! hold. When we end, also by SIGKILL, the pipe closes and the shell kills the group. The group keeps the child's id
//! reserved while the shell lives, so nobody else can be hit. Folders have such a shell, too.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Attempt, Error};
use crate::wait;

/// Becomes the program, after leaving a shell behind that kills the group when the pipe closes.
const LAUNCH: &str = r#"exec 3<&0
(read -r _ <&3; kill -s KILL 0) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-"#;

/// Removes a folder when the pipe closes; those who still write there are being killed at the same time.
const SWEEP: &str = r#"trap "" HUP INT TERM
read -r _
for attempt in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && exit; sleep 0.2; done"#;

/// A command that runs `program` under guard, to be completed and given to [`Guarded::spawn`].
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LAUNCH, "sh"]).arg(program);
    command
}

/// A running child.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    child: Child,
    _pipe: Option<ChildStdin>,
}

impl Guarded {
    /// Starts what [`command`] made.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).process_group(0);
        let mut child = command.spawn().attempt(format!("start {name}"))?;
        let pipe = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            _pipe: pipe,
        })
    }

    /// The child itself, for its output.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child
            .try_wait()
            .attempt(format!("look after {}", self.name))
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(std::io::Error::from)
            .attempt(format!("send {signal:?} to {}", self.name))
    }

    /// SIGTERM, and waits for its end.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        self.end(deadline).await
    }

    /// Waits for its end.
    pub async fn end(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        let what = format!("the end of {}", self.name);
        wait::for_some(&what, deadline, async || self.ended().transpose()).await?
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A temporary folder that is removed at the end.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    sweeper: Child,
}

impl Scratch {
    /// Makes an empty folder.
    pub fn new() -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("hybrid-calendar-")
            .tempdir()
            .attempt("make a temporary folder")?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .attempt("start the sweeper of a temporary folder")?;
        Ok(Self {
            path: folder.keep(),
            sweeper,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}
