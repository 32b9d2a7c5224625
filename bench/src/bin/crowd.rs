//! The `crowd` command: how long the steps on users take in a store with few users, and in one with many.

use std::process::ExitCode;

use clap::Parser as _;
use relatch_bench::crowd::{self, Options};

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's report is its output")]
async fn main() -> ExitCode {
    match crowd::run(&Options::parse()).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("crowd: {error}");
            ExitCode::FAILURE
        }
    }
}
