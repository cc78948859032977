//! `make bench`: measures, and prints one table for each scenario.

use std::io::Write as _;
use std::process::ExitCode;

use bench::options::Options;
use bench::report::Report;
use bench::{process, run};
use clap::Parser;
use testbed::error::{Attempt as _, Error};

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<(), Error> {
    let progress = |what: &str| {
        let _ = writeln!(std::io::stderr(), "bench: {what}");
    };
    let report = Box::pin(run(options, progress)).await?;
    let circumstances = Report::circumstances(options, process::now());
    let tables = report.tables(options);
    let text: Vec<String> = tables.iter().map(bench::table::Table::text).collect();
    writeln!(std::io::stdout(), "{}\n{circumstances}", text.join("\n")).attempt("print")?;
    if let Some(path) = &options.markdown {
        let tables: Vec<String> = tables.iter().map(bench::table::Table::markdown).collect();
        let page = format!("{}\n{circumstances}\n", tables.join("\n"));
        std::fs::write(path, page).attempt(format!("write {}", path.display()))?;
    }
    Ok(())
}
