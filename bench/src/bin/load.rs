//! The `load` command: keeps a server busy with refreshes and says what they cost.

use std::process::ExitCode;

use clap::Parser as _;
use relatch_bench::load::{self, Options};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's report is its output")]
fn main() -> ExitCode {
    let options = Options::parse();
    let report = match load::run(&options) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.text());
    }
    match report.complaint() {
        None => ExitCode::SUCCESS,
        Some(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}
