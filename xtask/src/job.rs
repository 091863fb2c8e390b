//! One child process: its output is shown as it comes and read for test results.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tally::Tally;

pub(crate) struct Job {
    command: Command,
    shown: String,
}

/// How a job ended.
pub(crate) struct Done {
    pub(crate) success: bool,
    pub(crate) tally: Tally,
}

impl Job {
    pub(crate) fn new(program: &str) -> Self {
        let mut command = Command::new(program);
        // A prompt would wait for ever in CI: there is nobody to answer.
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // The runners' summaries are read below, without colour codes.
        command.env("NO_COLOR", "1").env_remove("FORCE_COLOR");
        Self { command, shown: program.to_owned() }
    }

    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        for arg in args {
            self.command.arg(arg);
            self.shown.push(' ');
            self.shown.push_str(arg);
        }
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn run(mut self) -> Result<Done> {
        println!("$ {}", self.shown);
        let mut child =
            self.command.spawn().with_context(|| format!("cannot start `{}`", self.shown))?;
        let output = child.stdout.take().expect("standard output was asked for as a pipe");

        let mut tally = Tally::default();
        let mut terminal = std::io::stdout().lock();
        // Lines need not be UTF-8: a test may print what it likes.
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            terminal.write_all(&line)?;
            tally.read_line(&String::from_utf8_lossy(&line));
            line.clear();
        }
        terminal.flush()?;
        let success = child.wait()?.success();
        Ok(Done { success, tally })
    }
}
