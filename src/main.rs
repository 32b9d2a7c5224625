//! The `relatch` command.

fn main() {}
