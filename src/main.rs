//! The `relatch` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    relatch::cli::main()
}
