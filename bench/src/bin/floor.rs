//! The `floor` command: the least that a refresh can cost, as a server.

use std::process::ExitCode;

use clap::Parser as _;
use relatch_bench::floor::{self, Options};

#[expect(clippy::print_stderr, reason = "a command tells its user why it stopped")]
fn main() -> ExitCode {
    match floor::run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
