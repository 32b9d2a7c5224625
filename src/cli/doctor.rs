//! `relatch doctor`: whether the store is fit.

use std::io::Write;

use clap::Args;

use super::print::{counted, json_line, shown};
use super::{Failure, Surroundings};
use crate::doctor::{Finding, Severity};
use crate::startup::{block_on, examine_store};

/// Below the help of the command.
const AFTER_HELP: &str = "\
It looks at every process behind store.url: a Redis and its replicas, Sentinels, the nodes of a Cluster. Of the
embedded store it looks whether others can open its file or the master key beside it. It writes nothing. Exit codes: 0 nothing is wrong (notes do not count), 1 something is, 2 wrong use.

Example:
  relatch doctor --config relatch.toml && systemctl start relatch";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Doctor {
    /// Print JSON, one finding on each line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(doctor: &Doctor, mut surroundings: Surroundings<'_>) -> Result<(), Failure> {
    let settings = surroundings.load()?.settings;
    let findings = block_on(examine_store(&settings))?;
    let out = surroundings.out;
    for finding in &findings {
        if doctor.json {
            json_line(out, finding)?;
        } else {
            print(finding, out)?;
        }
    }
    match findings.iter().filter(|finding| finding.severity != Severity::Note).count() {
        0 => {
            if !doctor.json {
                writeln!(
                    out,
                    "{}",
                    if findings.is_empty() { "nothing is wrong" } else { "nothing else is wrong" }
                )?;
            }
            Ok(())
        }
        count => Err(Failure::NotDone(format!("{} to mend", counted(count, "thing")))),
    }
}

fn print(finding: &Finding, out: &mut dyn Write) -> Result<(), Failure> {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let at = finding.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
    writeln!(out, "{severity}: {}", shown(&format!("{at}{}", finding.what)))?;
    writeln!(out, "  why:    {}", finding.why)?;
    writeln!(out, "  change: {}", shown(&finding.change))?;
    Ok(())
}
