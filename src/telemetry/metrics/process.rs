//! What the operating system knows of this process, from `/proc` (`proc(5)`). Linux only; elsewhere nothing is told.

use std::fs;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Memory that is in RAM, in bytes.
    pub(super) resident_bytes: i64,
    /// Processor time of all threads, in seconds.
    pub(super) cpu_seconds: f64,
    /// Open files and sockets.
    pub(super) open_fds: i64,
}

/// What this process uses.
pub(super) fn usage() -> Option<Usage> {
    let open_fds = fs::read_dir("/proc/self/fd").ok()?.count();
    parse(
        &fs::read_to_string("/proc/self/stat").ok()?,
        rustix::param::clock_ticks_per_second(),
        rustix::param::page_size(),
        open_fds,
    )
}

#[expect(clippy::cast_precision_loss, reason = "far fewer ticks than 2^52")]
fn parse(stat: &str, ticks_per_second: u64, page_size: usize, open_fds: usize) -> Option<Usage> {
    // The name may hold spaces and brackets itself: it ends at the last one. Field 3 comes next; 14 and 15 are user and
    // system time, 24 the resident pages.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)?.checked_add(field(15)?)?;
    let resident = field(24)?.checked_mul(u64::try_from(page_size).ok()?)?;
    Some(Usage {
        resident_bytes: i64::try_from(resident).ok()?,
        cpu_seconds: ticks as f64 / ticks_per_second as f64,
        open_fds: i64::try_from(open_fds).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat =
            "7 (a b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 77 4096000 512 18446744073709551615";
        let usage = parse(stat, 100, 4096, 5).unwrap();
        assert_eq!((usage.resident_bytes, usage.open_fds), (512 * 4096, 5));
        assert!((usage.cpu_seconds - 2.0).abs() < 1e-9);
        for broken in ["", "7 (a) S 1 2", "7 (a) S x"] {
            assert_eq!(parse(broken, 100, 4096, 0), None);
        }
    }

    #[test]
    fn of_ourselves_something_is_known() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.open_fds > 2);
    }
}
