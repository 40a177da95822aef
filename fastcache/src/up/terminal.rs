//! What `fastcache up` writes on the terminal: its own lines, the children's, and a progress bar.
//!
//! A terminal can stop reading at any time (Ctrl-S, a full pipe). If its lines waited for it, the
//! children's pipes would fill up, the whole cluster would stand still, and no signal could end it. So
//! lines and progress go through a bounded queue to a thread that alone writes; when the queue is full,
//! children's lines are left out and counted. They are in the log files all the same. Stdout has a queue
//! of its own: who waits there for the ready line need not read the logs.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
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
    stdout: Arc<Shared>,
    stderr: Arc<Shared>,
    has_bar: bool,
    is_coloured: bool,
    /// Whether children's lines are left out.
    is_muted: Arc<AtomicBool>,
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
    progress: Progress,
    /// The thread holds something that is not written yet.
    is_writing: bool,
}

/// What the bar does not show yet.
#[derive(Debug, Default)]
struct Progress {
    message: Option<String>,
    steps: u64,
    is_over: bool,
}

/// What the thread writes next.
#[derive(Debug)]
struct Work {
    line: Option<Line>,
    left_out: u64,
    progress: Progress,
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
        let stderr = Shared::start("stderr", bar)?;
        // On a terminal the bar must be gone before anything else is written there.
        let stdout =
            if is_terminal { Arc::clone(&stderr) } else { Shared::start("stdout", ProgressBar::hidden())? };
        let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Ok(Self { stdout, stderr, has_bar: is_terminal, is_coloured, is_muted: Arc::default() })
    }

    /// The line that tells the cluster is ready, on stdout, where a script waits for it.
    pub(super) fn ready(&self, text: &str) {
        self.stdout.push(Line { text: text.to_owned(), target: Target::Stdout });
    }

    /// A line of this command's own, on stderr.
    pub(super) fn say(&self, text: &str) {
        self.stderr.push(Line { text: format!("fastcache: {text}"), target: Target::Stderr });
    }

    /// A line that a child wrote, on stderr behind the child's name.
    pub(super) fn child_line(&self, prefix: &Prefix, text: &str) {
        if self.is_muted.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.stderr.lock();
        if queue.lines.len() >= MAX_WAITING {
            queue.left_out += 1;
            return;
        }
        let text = prefix.line(text, self.is_coloured);
        queue.lines.push_back(Line { text, target: Target::Stderr });
        drop(queue);
        self.stderr.changed.notify_all();
    }

    /// From here on children's lines are only in the log files.
    pub(super) fn mute_children(&self) {
        self.is_muted.store(true, Ordering::Relaxed);
    }

    /// Says what is being waited for; without a bar it is a line of its own.
    pub(super) fn phase(&self, text: &str) {
        if self.has_bar {
            self.stderr.progress(|progress| progress.message = Some(text.to_owned()));
        } else {
            self.say(text);
        }
    }

    /// Says what is still missing; without a bar nothing, as it is asked many times.
    pub(super) fn waiting_for(&self, text: &str) {
        self.stderr.progress(|progress| progress.message = Some(format!("waiting: {text}")));
    }

    /// One more child is up.
    pub(super) fn advance(&self) {
        self.stderr.progress(|progress| progress.steps += 1);
    }

    /// Removes the progress bar.
    pub(super) fn end_progress(&self) {
        self.stderr.progress(|progress| progress.is_over = true);
    }

    /// Waits until everything is written, but not for a terminal that has stopped.
    pub(super) fn flush(&self) {
        self.stdout.flush();
        self.stderr.flush();
    }
}

impl Shared {
    /// A queue with a thread that writes what is put into it.
    fn start(name: &str, bar: ProgressBar) -> std::io::Result<Arc<Self>> {
        let shared = Arc::<Self>::default();
        let written = Arc::clone(&shared);
        thread::Builder::new().name(name.into()).spawn(move || written.write(&bar))?;
        Ok(shared)
    }

    /// A panicking thread cannot leave the queue half changed, so its lock is as good as before.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Line) {
        self.lock().lines.push_back(line);
        self.changed.notify_all();
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock().progress);
        self.changed.notify_all();
    }

    fn flush(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || queue.has_work();
        // Whether it ran out of time or not, there is nothing left to do about it.
        let _ = self.changed.wait_timeout_while(self.lock(), LAST_LINES, is_busy);
    }

    fn write(&self, bar: &ProgressBar) {
        loop {
            let work = self.next();
            work.progress.show(bar);
            if let Some(line) = work.line {
                bar.suspend(|| line.write(work.left_out));
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for something to write.
    fn next(&self) -> Work {
        let queue = self.lock();
        let is_idle = |queue: &mut Queue| !queue.has_work();
        let mut queue = self.changed.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner);
        queue.is_writing = true;
        let line = queue.lines.pop_front();
        let left_out = if line.is_some() { std::mem::take(&mut queue.left_out) } else { 0 };
        Work { line, left_out, progress: std::mem::take(&mut queue.progress) }
    }
}

impl Queue {
    fn has_work(&self) -> bool {
        let Progress { message, steps, is_over } = &self.progress;
        !self.lines.is_empty() || message.is_some() || *steps > 0 || *is_over
    }
}

impl Progress {
    fn show(self, bar: &ProgressBar) {
        if let Some(message) = self.message {
            bar.set_message(message);
        }
        if self.steps > 0 {
            bar.inc(self.steps);
        }
        if self.is_over {
            bar.finish_and_clear();
        }
    }
}

impl Line {
    /// In one piece, so that nothing gets in between. A terminal that went away is no reason to stop a
    /// cluster.
    fn write(&self, left_out: u64) {
        let line = format!("{}\n", self.text);
        let _ = match self.target {
            Target::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush())
            }
            Target::Stderr if left_out > 0 => {
                let told = format!("fastcache: {left_out} lines of logs are only in the log files\n{line}");
                std::io::stderr().write_all(told.as_bytes())
            }
            Target::Stderr => std::io::stderr().write_all(line.as_bytes()),
        };
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
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let is_muted = Arc::default();
        let terminal = Terminal { stdout, stderr, has_bar: true, is_coloured: false, is_muted };
        let prefix = Prefix::new("node1", 5, 0);
        for _ in 0..MAX_WAITING + 10 {
            terminal.child_line(&prefix, "a");
            terminal.waiting_for("the end");
            terminal.advance();
        }
        terminal.mute_children();
        terminal.child_line(&prefix, "left to the log file, and not counted");
        terminal.say("important");
        terminal.ready("ready");
        assert_eq!(terminal.stdout.lock().lines.len(), 1);
        let queue = terminal.stderr.lock();
        assert_eq!((queue.lines.len(), queue.left_out), (MAX_WAITING + 1, 10));
        assert_eq!(queue.lines.back().unwrap().text, "fastcache: important");
    }
}
