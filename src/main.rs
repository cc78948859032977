//! The operator's process.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Takes a quarter less processor time than the allocator of the C library (docs/performance-tried.md). `config/image/build` sets
/// it up for the image.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    hybrid_calendar_operator::cli::main()
}
