//! The `relatch` command.

use std::process::ExitCode;

/// A refresh allocates a hundred times and more; what it costs is in `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    relatch::cli::main()
}
