//! Processor time of processes, from `/proc` (proc(5)). Linux only.

use std::time::Duration;

use crate::Error;

/// What a process had used at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The process.
    pub pid: u32,
    /// The name of its program, at most 15 characters.
    pub name: String,
    /// User and system time of all its threads, in steps of a clock tick (10 ms).
    pub time: Duration,
}

/// What these processes have used until now.
///
/// # Errors
/// If one of them is gone.
pub fn usage(pids: &[u32]) -> Result<Vec<Usage>, Error> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    pids.iter()
        .map(|&pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_err(|error| format!("process {pid}: {error}"))?;
            parse(pid, &stat, ticks_per_second)
                .ok_or_else(|| format!("process {pid}: /proc/{pid}/stat makes no sense").into())
        })
        .collect()
}

fn parse(pid: u32, stat: &str, ticks_per_second: u64) -> Option<Usage> {
    // The name may hold spaces and brackets itself: it ends at the last one.
    let (before, fields) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    // Fields 14 and 15, utime and stime; the first one here is the third.
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    let millis = ticks.checked_mul(1000)?.checked_div(ticks_per_second)?;
    Some(Usage { pid, name: name.to_owned(), time: Duration::from_millis(millis) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_is_read() {
        let stat = "7 (a b) (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0";
        let time = Duration::from_millis(1750);
        assert_eq!(parse(7, stat, 100), Some(Usage { pid: 7, name: "a b) (c".to_owned(), time }));
        assert_eq!(parse(7, "7 (a) S 1 2 3", 100), None);
        assert_eq!(parse(7, "", 100), None);
    }

    #[test]
    fn our_own_time_can_be_read() {
        let pid = std::process::id();
        assert_eq!(usage(&[pid]).unwrap().first().map(|usage| usage.pid), Some(pid));
        assert!(usage(&[u32::MAX]).is_err());
    }
}
