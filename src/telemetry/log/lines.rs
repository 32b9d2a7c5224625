//! Where the lines of the log go: to standard error, many at once.
//!
//! A write for each line costs a request more than the line itself. So lines wait in memory for some milliseconds, and a
//! thread of its own writes what has gathered. Lines from `warn` up wait for nobody: they are written before the call
//! returns, with all that came before them. A server that is killed loses what has waited; one that stops in order does
//! not ([`Lines::flush`]).

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may wait. Whoever would exceed it writes them itself: the log is never dropped, nor grows without end.
const MOST: usize = 256 * 1024;

/// Takes lines and passes them on in their order.
pub(super) struct Lines<O>(Arc<Shared<O>>);

impl<O> Clone for Lines<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<O> {
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    /// The output, and the room for what is being written. Held from taking the lines until they are written, so that
    /// none overtakes another.
    output: Mutex<(O, Vec<u8>)>,
    /// Whether a thread writes what waits.
    gathers: AtomicBool,
}

impl<O: Write + Send + 'static> Lines<O> {
    /// Begins to write to `output`, each line `linger` after it came at the latest. With zero, and should there be no
    /// thread to be had, each is written by itself.
    pub(super) fn to(output: O, linger: Duration) -> Self {
        let (waiting, filled) = (Mutex::new(Vec::new()), Condvar::new());
        let output = Mutex::new((output, Vec::new()));
        let lines = Self(Arc::new(Shared { waiting, filled, output, gathers: AtomicBool::new(false) }));
        if !linger.is_zero() {
            let writer = lines.clone();
            let started =
                thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_on(linger));
            lines.0.gathers.store(started.is_ok(), Ordering::Relaxed);
        }
        lines
    }

    /// Writes what has gathered, again and again. Never ends.
    fn write_on(&self, linger: Duration) {
        loop {
            let waiting = locked(&self.0.waiting);
            drop(self.0.filled.wait_while(waiting, |waiting| waiting.is_empty()));
            thread::sleep(linger);
            self.flush();
        }
    }

    /// Writes all lines that wait. If the output takes them no more, there is nobody to tell.
    pub(super) fn flush(&self) {
        let mut output = locked(&self.0.output);
        let (output, room) = &mut *output;
        std::mem::swap(&mut *locked(&self.0.waiting), room);
        let _ = output.write_all(room).and_then(|()| output.flush());
        room.clear();
        room.shrink_to(MOST);
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = locked(&self.0.waiting);
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        let is_full = waiting.len() >= MOST;
        drop(waiting);
        if at_once || is_full || !self.0.gathers.load(Ordering::Relaxed) {
            self.flush();
        } else if was_empty {
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
    at_once: bool,
}

impl<O: Write + Send + 'static> Write for Line<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.add(bytes, self.at_once);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, O: Write + Send + 'static> MakeWriter<'a> for Lines<O> {
    type Writer = Line<'a, O>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { lines: self, at_once: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        Line { lines: self, at_once: *meta.level() <= Level::WARN }
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
    fn an_urgent_line_is_written_at_once_and_takes_along_what_waited() {
        let (lines, written) = lines();
        lines.add(b"one\n", false);
        lines.add(b"two\n", true);
        let all: Vec<u8> = written.try_iter().flatten().collect();
        assert_eq!(all, b"one\ntwo\n");
    }

    #[test]
    fn lines_that_must_not_wait_are_written_one_by_one() {
        let (lines, written) = lines_that_wait(Duration::ZERO);
        lines.add(b"one\n", false);
        lines.add(b"two\n", false);
        let all: Vec<Vec<u8>> = written.try_iter().collect();
        assert_eq!(all, [b"one\n", b"two\n"]);
    }

    #[test]
    fn memory_does_not_grow_without_end() {
        let (lines, written) = lines();
        let line = [b'x'; 1024];
        for _ in 0..2 * MOST / line.len() {
            lines.add(&line, false);
        }
        lines.flush();
        let lengths: Vec<usize> = written.try_iter().map(|bytes| bytes.len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 2 * MOST);
        assert!(lengths.iter().all(|length| *length <= MOST), "{lengths:?}");
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
