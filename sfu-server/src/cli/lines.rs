//! The way of a line of the log to stderr: a thread writes, so that nobody who has something to say
//! waits for whoever reads it. A pipe that nobody empties, or a disk that is full, costs lines.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait: what a server at `debug` says in a second.
const LINES_MAX: usize = 8 * 1024;
/// How long the end of the process waits for lines to be written.
const END_WITHIN: Duration = Duration::from_secs(1);

enum Item {
    Line(Vec<u8>),
    /// To be answered when everything before it has been written.
    End(Sender<()>),
}

/// Takes lines, and drops them while too many wait.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Sender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn to(out: impl Write + Send + 'static) -> anyhow::Result<Self> {
        let (queue, items) = bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("log".to_owned());
        let of_thread = Arc::clone(&dropped);
        thread.spawn(move || write(&items, out, &of_thread)).context("cannot start a thread")?;
        Ok(Self { queue, dropped })
    }

    /// Waits until what was said so far is written, but not for long.
    pub(super) fn end(&self) {
        let (done, ended) = bounded(1);
        if self.queue.send_timeout(Item::End(done), END_WITHIN).is_ok() {
            // Not in time: nobody reads.
            let _ = ended.recv_timeout(END_WITHIN);
        }
    }
}

fn write(items: &Receiver<Item>, mut out: impl Write, dropped: &AtomicU64) {
    for item in items {
        // Where the log itself fails there is nowhere to say so.
        let _ = match item {
            Item::Line(line) => out.write_all(&line),
            Item::End(done) => done.send(()).map_err(io::Error::other),
        };
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(out, "{missing} lines of the log were dropped: nobody took them");
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is one line: that is how the formatter writes.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Item::Line(line.to_vec())) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// A pipe that is blocked until it is let go.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted_and_the_rest_is_in_order() {
        let pipe = Pipe::default();
        let lines = Lines::to(pipe.clone()).unwrap();
        let blocked = pipe.0.lock();
        let all = 2 * LINES_MAX;
        for n in 0..all {
            (&lines).write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        drop(blocked);
        lines.end();
        let text = String::from_utf8(pipe.0.lock().clone()).unwrap();
        let (said, told): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.parse::<usize>().is_ok());
        assert!((LINES_MAX..=LINES_MAX + 1).contains(&said.len()), "{}", said.len());
        assert!(said.is_sorted_by_key(|line| line.parse::<usize>().unwrap()));
        let missing =
            format!("{} lines of the log were dropped: nobody took them", all - said.len());
        assert_eq!(told, [missing]);
    }
}
