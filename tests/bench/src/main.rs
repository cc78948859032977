//! `make bench`: measures, and prints one table for each scenario, and one of what is aimed at.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bench::aims;
use bench::options::Options;
use bench::report::Report;
use bench::table::Table;
use bench::{process, run};
use clap::Parser;
use testbed::error::{Attempt as _, Error};

/// What the operator costs: time, processor, memory, writes and calls, side by side with a floor
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Measure all that is aimed at, each at its own size, and say what was reached
    #[arg(long, conflicts_with = "Options")]
    aims: bool,

    /// Write the tables as Markdown to this file, too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut page = Page::new(arguments.markdown);
    let measured = if arguments.aims {
        Box::pin(all_aims(&mut page)).await
    } else {
        Box::pin(measure(&arguments.options, &mut page))
            .await
            .map(drop)
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A run that fails takes nothing from the others; the first failure is returned in the end.
async fn all_aims(page: &mut Page) -> Result<(), Error> {
    let (mut reports, mut failure) = (Vec::new(), None);
    for aimed in &aims::RUNS {
        let report = Box::pin(measure(&aimed.options(), page)).await;
        let failed = |error: Error| {
            tell(&error.to_string());
            failure.get_or_insert(error);
        };
        reports.push(report.map_err(failed).ok());
    }
    page.add(&[aims::table(&reports)], "")?;
    failure.map_or(Ok(()), Err)
}

async fn measure(options: &Options, page: &mut Page) -> Result<Report, Error> {
    let report = Box::pin(run(options, tell)).await?;
    let circumstances = Report::circumstances(options, process::now());
    page.add(&report.tables(options), &circumstances)?;
    Ok(report)
}

fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {what}");
}

/// What is printed, and written to a file as soon as it is known.
struct Page {
    file: Option<PathBuf>,
    markdown: Vec<String>,
}

impl Page {
    fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            markdown: Vec::new(),
        }
    }

    fn add(&mut self, tables: &[Table], below: &str) -> Result<(), Error> {
        let text: Vec<String> = tables.iter().map(Table::text).collect();
        writeln!(std::io::stdout(), "{}\n{below}\n", text.join("\n")).attempt("print")?;
        self.markdown.extend(tables.iter().map(Table::markdown));
        self.markdown.push(format!("{below}\n"));
        match &self.file {
            Some(file) => std::fs::write(file, self.markdown.join("\n"))
                .attempt(format!("write {}", file.display())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_is_aimed_at_has_sizes_of_its_own() {
        Arguments::command().debug_assert();
        let parse =
            |words: &[&str]| Arguments::try_parse_from([&["bench", "--aims"], words].concat());
        assert!(parse(&["--markdown", "bench.md"]).is_ok());
        let refused = parse(&["--mailboxes", "5"]).unwrap_err();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict);
    }
}
