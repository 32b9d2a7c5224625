//! The `flood` command: refreshes at a steady rate while a crowd signs in, and says what that costs.

use std::process::ExitCode;

use clap::Parser as _;
use relatch_bench::flood::{self, Options};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's report is its output")]
fn main() -> ExitCode {
    match flood::run(&Options::parse()).and_then(|report| Ok(serde_json::to_string(&report)?)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}
