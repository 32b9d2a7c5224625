//! Where the lines of the log go: to standard error, by a thread of its own.
//!
//! The reader of the log may stop reading: a log driver that stalls, a pager, Ctrl-S on a terminal. No request waits for
//! that. Lines wait in memory, so many bytes at most; what comes then is dropped and counted, and the log says so when it is
//! read again. Lines below `warn` wait some milliseconds for others in any case, for a write of each costs more than the
//! line. A server that is killed loses what has waited; one that stops in order does not ([`Lines::flush`]).

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may wait.
const MOST: usize = 256 * 1024;
/// How long the end of the process waits for the log to be read.
const LAST_WAIT: Duration = Duration::from_secs(1);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of this process were dropped, since the output took them too slowly.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Takes lines and passes them on in their order.
pub(super) struct Lines<O>(Arc<Shared<O>>);

impl<O> Clone for Lines<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<O> {
    waiting: Mutex<Waiting>,
    /// There is something to be written, or something that is urgent.
    filled: Condvar,
    /// Something has been written.
    done: Condvar,
    /// Locked by the thread that writes alone, if there is one.
    output: Mutex<O>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_urgent: bool,
    /// How many bytes have come, and how many of them have been written.
    come: u64,
    written: u64,
    /// How many lines were dropped of which the log does not tell yet.
    dropped: u64,
    /// Whether a thread writes what waits.
    has_writer: bool,
}

impl<O: Write + Send + 'static> Lines<O> {
    /// Begins to write to `output`, each line `linger` after it came at the latest. Should there be no thread to be had, whoever
    /// has a line writes it.
    pub(super) fn to(output: O, linger: Duration) -> Self {
        let (waiting, output) = (Mutex::default(), Mutex::new(output));
        let lines = Self(Arc::new(Shared { waiting, filled: Condvar::new(), done: Condvar::new(), output }));
        let writer = lines.clone();
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_on(linger));
        locked(&lines.0.waiting).has_writer = started.is_ok();
        lines
    }

    /// Writes what has gathered, again and again. Never ends.
    fn write_on(&self, linger: Duration) {
        let mut room = Vec::new();
        loop {
            let waiting = locked(&self.0.waiting);
            let waiting = self.0.filled.wait_while(waiting, |waiting| waiting.lines.is_empty());
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let lingered = self.0.filled.wait_timeout_while(waiting, linger, |waiting| !waiting.is_urgent);
            let (mut waiting, _) = lingered.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut waiting.lines, &mut room);
            waiting.is_urgent = false;
            let (come, dropped) = (waiting.come, std::mem::take(&mut waiting.dropped));
            drop(waiting);
            self.write(&room);
            room.clear();
            room.shrink_to(MOST);
            locked(&self.0.waiting).written = come;
            self.0.done.notify_all();
            if dropped > 0 {
                tracing::warn!(
                    event = "log_lines_dropped",
                    dropped,
                    "the log was not read in time: lines are missing"
                );
            }
        }
    }

    /// If the output takes them no more, there is nobody to tell.
    fn write(&self, lines: &[u8]) {
        let mut output = locked(&self.0.output);
        let _ = output.write_all(lines).and_then(|()| output.flush());
    }

    /// Waits until all lines are written that have come, but not for ever.
    pub(super) fn flush(&self) {
        let mut waiting = locked(&self.0.waiting);
        let come = waiting.come;
        waiting.is_urgent = true;
        self.0.filled.notify_one();
        drop(self.0.done.wait_timeout_while(waiting, LAST_WAIT, |waiting| waiting.written < come));
    }

    fn add(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = locked(&self.0.waiting);
        if !waiting.has_writer {
            return self.write(line);
        }
        if waiting.lines.len().saturating_add(line.len()) > MOST {
            waiting.dropped = waiting.dropped.saturating_add(1);
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        waiting.come = waiting.come.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        waiting.is_urgent |= is_urgent;
        drop(waiting);
        if is_first || is_urgent {
            self.0.filled.notify_one();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one line.
pub(super) struct Line<'a, O> {
    lines: &'a Lines<O>,
    is_urgent: bool,
}

impl<O: Write + Send + 'static> Write for Line<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.add(bytes, self.is_urgent);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, O: Write + Send + 'static> MakeWriter<'a> for Lines<O> {
    type Writer = Line<'a, O>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { lines: self, is_urgent: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        Line { lines: self, is_urgent: *meta.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// An output that tells of each write.
    struct Told(mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_that_wait(linger: Duration) -> (Lines<Told>, mpsc::Receiver<Vec<u8>>) {
        let (sender, written) = mpsc::channel();
        (Lines::to(Told(sender), linger), written)
    }

    fn lines() -> (Lines<Told>, mpsc::Receiver<Vec<u8>>) {
        lines_that_wait(Duration::from_millis(10))
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_line_is_written_soon_though_nobody_asks() {
        let (lines, written) = lines();
        lines.add(b"one\n", false);
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), b"one\n");
        lines.add(b"two\n", false);
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), b"two\n");
    }

    #[test]
    fn an_urgent_line_does_not_linger_and_takes_along_what_waited() {
        let (lines, written) = lines_that_wait(Duration::from_hours(1));
        lines.add(b"one\n", false);
        lines.add(b"two\n", true);
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn at_the_end_nothing_lingers() {
        let (lines, written) = lines_that_wait(Duration::from_hours(1));
        lines.add(b"one\n", false);
        lines.flush();
        assert_eq!(written.try_recv().unwrap(), b"one\n");
    }

    /// An output that nobody reads until a message comes.
    struct Stalled(mpsc::Receiver<()>, mpsc::Sender<usize>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_log_that_is_not_read_and_what_is_too_much_is_counted() {
        let ((reads, read), (sender, written)) = (mpsc::channel(), mpsc::channel());
        let lines = Lines::to(Stalled(read, sender), Duration::ZERO);
        let before = dropped();
        let line = [b'x'; 1024];
        for _ in 0..2 * MOST / line.len() {
            lines.add(&line, true);
        }
        lines.flush();
        let lost = usize::try_from(dropped() - before).unwrap();
        assert!(lost > 0, "nothing was dropped");
        drop(reads);
        let mut length = 0;
        while length < 2 * MOST - lost * line.len() {
            length += written.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(length, 2 * MOST - lost * line.len());
    }

    #[test]
    fn many_threads_lose_no_line_and_keep_the_order_of_each() {
        let (lines, written) = lines();
        thread::scope(|scope| {
            for name in 0..8_u8 {
                let lines = lines.clone();
                scope.spawn(move || {
                    for number in 0..500_u16 {
                        lines.add(format!("{name} {number}\n").as_bytes(), number % 50 == 0);
                    }
                });
            }
        });
        lines.flush();
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let all = String::from_utf8(all).unwrap();
        for name in 0..8 {
            let of_one: Vec<&str> =
                all.lines().filter_map(|line| line.strip_prefix(&format!("{name} "))).collect();
            let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
            assert_eq!(of_one, expected, "thread {name}");
        }
    }
}
