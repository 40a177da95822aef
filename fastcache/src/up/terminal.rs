//! What `fastcache up` writes on the terminal: its own lines, the children's, and a progress bar.
//!
//! A terminal can stop reading at any time (Ctrl-S, a full pipe). If its lines waited for it, the
//! children's pipes would fill up and the whole cluster would stand still. So lines go through a bounded
//! queue to a thread of their own; when it is full, children's lines are left out and counted. They are
//! in the log files all the same.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines of children that may wait: more than a screen shows and less than a megabyte.
const MAX_WAITING: usize = 1024;
/// How long the last lines may take to appear before the process ends without them.
const LAST_LINES: Duration = Duration::from_secs(1);
/// ANSI colours that are readable on dark and light ground.
const COLOURS: [u8; 6] = [36, 32, 33, 35, 34, 96];

/// A handle to the terminal; clones write to the same one.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    shared: Arc<Shared>,
    bar: ProgressBar,
    is_coloured: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told when the queue changed in either direction.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    left_out: u64,
    /// The thread holds a line that is not written yet.
    is_writing: bool,
}

#[derive(Debug)]
struct Line {
    text: String,
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Stdout,
    Stderr,
}

impl Terminal {
    /// Starts writing. With a terminal on stderr there is a progress bar for `children` of them.
    pub(super) fn start(children: usize) -> std::io::Result<Self> {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { progress_bar(children) } else { ProgressBar::hidden() };
        let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = Self { shared: Arc::default(), bar, is_coloured };
        let writer = terminal.clone();
        thread::Builder::new().name("terminal".into()).spawn(move || writer.write_lines())?;
        Ok(terminal)
    }

    /// The line that tells the cluster is ready, on stdout, where a script waits for it.
    pub(super) fn ready(&self, text: &str) {
        self.push(Line { text: text.to_owned(), target: Target::Stdout });
    }

    /// A line of this command's own, on stderr.
    pub(super) fn say(&self, text: &str) {
        self.push(Line { text: format!("fastcache: {text}"), target: Target::Stderr });
    }

    /// A line that a child wrote, on stderr behind the child's name.
    pub(super) fn child_line(&self, prefix: &Prefix, text: &str) {
        let mut queue = self.shared.lock();
        if queue.lines.len() >= MAX_WAITING {
            queue.left_out += 1;
            return;
        }
        let text = prefix.line(text, self.is_coloured);
        queue.lines.push_back(Line { text, target: Target::Stderr });
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Says what is being waited for; without a bar it is a line of its own.
    pub(super) fn phase(&self, text: &str) {
        if self.bar.is_hidden() { self.say(text) } else { self.bar.set_message(text.to_owned()) }
    }

    /// Says what is still missing; without a bar nothing, as it is asked many times.
    pub(super) fn waiting_for(&self, text: &str) {
        self.bar.set_message(format!("waiting: {text}"));
    }

    /// One more child is up.
    pub(super) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Removes the progress bar.
    pub(super) fn end_progress(&self) {
        self.bar.finish_and_clear();
    }

    /// Waits until everything is written, but not for a terminal that has stopped.
    pub(super) fn flush(&self) {
        let queue = self.shared.lock();
        let waits = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // Whether it ran out of time or not, there is nothing left to do about it.
        let _ = self.shared.changed.wait_timeout_while(queue, LAST_LINES, waits);
    }

    fn push(&self, line: Line) {
        self.shared.lock().lines.push_back(line);
        self.shared.changed.notify_all();
    }

    fn write_lines(&self) {
        loop {
            let (line, left_out) = self.shared.next();
            self.bar.suspend(|| {
                if left_out > 0 {
                    write(
                        Target::Stderr,
                        &format!("fastcache: {left_out} lines of logs are only in the log files"),
                    );
                }
                write(line.target, &line.text);
            });
            self.shared.lock().is_writing = false;
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    /// A panicking thread cannot leave the queue half changed, so its lock is as good as before.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a line; also how many were left out before it.
    fn next(&self) -> (Line, u64) {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.is_writing = true;
                return (line, std::mem::take(&mut queue.left_out));
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A child's name in front of its lines, as wide as the widest, in a colour of its own.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    name: String,
    colour: u8,
}

impl Prefix {
    pub(super) fn new(name: &str, width: usize, index: usize) -> Self {
        Self { name: format!("{name:width$}"), colour: COLOURS[index % COLOURS.len()] }
    }

    /// The line with its prefix. Control characters are replaced: what a client sends may appear in a
    /// log, and must not command the operator's terminal.
    fn line(&self, text: &str, is_coloured: bool) -> String {
        let Self { name, colour } = self;
        let text: String =
            text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        if is_coloured { format!("\x1b[{colour}m{name} |\x1b[0m {text}") } else { format!("{name} | {text}") }
    }
}

fn progress_bar(children: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(children as u64), ProgressDrawTarget::stderr());
    // The template is constant; were it wrong, the default style would do as well.
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// In one piece, so that nothing gets in between. A terminal that went away is no reason to stop a cluster.
fn write(target: Target, text: &str) {
    let line = format!("{text}\n");
    let _ = match target {
        Target::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush())
        }
        Target::Stderr => std::io::stderr().write_all(line.as_bytes()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prefixed_and_cannot_command_the_terminal() {
        let prefix = Prefix::new("node7", 7, 0);
        assert_eq!(prefix.line("a\tb \x1b[2J", false), "node7   | a\tb \u{fffd}[2J");
        assert_eq!(prefix.line("a", true), "\x1b[36mnode7   |\x1b[0m a");
    }

    #[test]
    fn a_stopped_terminal_costs_lines_and_not_memory() {
        // No thread writes: the terminal has stopped.
        let terminal = Terminal { shared: Arc::default(), bar: ProgressBar::hidden(), is_coloured: false };
        let prefix = Prefix::new("node1", 5, 0);
        for _ in 0..MAX_WAITING + 10 {
            terminal.child_line(&prefix, "a");
        }
        terminal.say("important");
        let queue = terminal.shared.lock();
        assert_eq!((queue.lines.len(), queue.left_out), (MAX_WAITING + 1, 10));
        assert_eq!(queue.lines.back().unwrap().text, "fastcache: important");
    }
}
