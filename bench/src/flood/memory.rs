//! Memory of a process, from `/proc` (`proc_pid_status(5)`). Linux only.

use crate::Error;

/// What a process has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now (`VmRSS`), in KiB.
    pub now_kib: u64,
    /// The most that it ever had (`VmHWM`), in KiB.
    pub peak_kib: u64,
}

/// What this process has in memory.
///
/// # Errors
/// If it is gone.
pub fn of(pid: u32) -> Result<Memory, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|error| format!("process {pid}: {error}"))?;
    parse(&status).ok_or_else(|| format!("process {pid}: /proc/{pid}/status makes no sense").into())
}

fn parse(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Memory { now_kib: field("VmRSS")?, peak_kib: field("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_figures_are_read() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse(status), Some(Memory { now_kib: 1024, peak_kib: 4096 }));
        assert_eq!(parse("Name:\tx\n"), None);
        assert!(of(std::process::id()).unwrap().now_kib > 0);
        assert!(of(u32::MAX).is_err());
    }
}
