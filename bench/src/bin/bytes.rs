//! The `bytes` command: fills a Redis with users and sessions, so that their size can be measured.

use std::process::ExitCode;

use clap::Parser as _;
use relatch_bench::bytes::{self, Options};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command's complaint is its output")]
async fn main() -> ExitCode {
    match bytes::run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bytes: {error}");
            ExitCode::FAILURE
        }
    }
}
