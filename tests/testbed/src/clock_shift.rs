//! A program that sees another wall clock than the machine has, as if somebody had set it.

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::error::{Attempt, Error};
use crate::guard::Scratch;

/// Compiled with the C compiler that links Rust programs, too.
const SOURCE: &str = include_str!("clock_shift.c");

/// By how much the clock of programs is shifted that are started with [`environment`](Self::environment).
#[derive(Debug)]
pub struct ClockShift {
    folder: Scratch,
}

impl ClockShift {
    /// By nothing yet.
    pub async fn new() -> Result<Self, Error> {
        let shift = Self {
            folder: Scratch::new()?,
        };
        shift.by(SignedDuration::ZERO)?;
        let source = shift.folder.path().join("clock_shift.c");
        std::fs::write(&source, SOURCE).attempt("write the clock's source")?;
        let compiled = tokio::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&shift.library(), &source])
            .arg("-ldl")
            .output();
        let compiled = compiled.await.attempt("run cc")?;
        if compiled.status.success() {
            return Ok(shift);
        }
        Err(Error::Program {
            program: "cc".to_owned(),
            output: String::from_utf8_lossy(&compiled.stderr).into_owned(),
        })
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock_shift.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("seconds")
    }

    /// What a program needs to be told.
    #[must_use]
    pub fn environment(&self) -> [(String, String); 2] {
        [("LD_PRELOAD", self.library()), ("CLOCK_SHIFT", self.file())]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
    }

    /// From now on by so much.
    pub fn by(&self, shift: SignedDuration) -> Result<(), Error> {
        // Renamed, so that nobody reads half of it.
        let (new, file) = (self.folder.path().join("new"), self.file());
        std::fs::write(&new, shift.as_secs().to_string())
            .and_then(|()| std::fs::rename(&new, &file))
            .attempt(format!("write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_sees_the_shifted_clock() {
        let shift = ClockShift::new().await.unwrap();
        let day = SignedDuration::from_hours(24);
        let now = async || -> i64 {
            let mut date = tokio::process::Command::new("date");
            let output = date.arg("+%s").envs(shift.environment()).output().await;
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            text.trim().parse().unwrap()
        };
        let before = now().await;
        shift.by(day).unwrap();
        let ahead = now().await - before;
        assert!(
            (day.as_secs()..day.as_secs() + 60).contains(&ahead),
            "{ahead}"
        );
    }
}
