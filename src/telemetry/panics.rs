//! Panics. None is meant to happen; should one, it is a line of the log, and it is counted.

use std::sync::atomic::{AtomicU64, Ordering};

static SEEN: AtomicU64 = AtomicU64::new(0);

/// How many there have been in this process.
pub fn seen() -> u64 {
    SEEN.load(Ordering::Relaxed)
}

/// Has them logged and counted from now on. Where it happened is told, but not its message: that may hold what somebody has sent.
pub fn report() {
    std::panic::set_hook(Box::new(|panic| {
        SEEN.fetch_add(1, Ordering::Relaxed);
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(
            event = "panic",
            at,
            thread,
            "a task has panicked: this is a fault of Relatch, please report it"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_ends_nothing_but_its_thread() {
        let before = seen();
        let former = std::panic::take_hook();
        report();
        assert!(std::thread::spawn(|| assert_eq!(seen(), u64::MAX)).join().is_err());
        std::panic::set_hook(former);
        assert_eq!(seen(), before + 1);
    }
}
