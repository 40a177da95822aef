//! The life every process shares: settings, logging, runtime, and a clear word when it cannot start.

use std::ffi::OsString;
use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::{Invocation, Program, Settings, logging};

/// The exit status for mistakes in flags, environment or file, as clap and most tools have it.
const EXIT_USAGE: u8 = 2;

/// How long the last line may take. When nobody reads stderr it stays unsaid: the exit status tells it.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Runs a program from its arguments (without the program's name) to its exit status: prints what was
/// only to be printed, lists every mistake in the settings, starts logging and a single-threaded
/// runtime, and runs `body`. An error of `body` is a line on stderr for each of its own, and a status of 1.
pub fn run_main<Body, E>(
    program: &'static Program,
    args: impl IntoIterator<Item = impl Into<OsString>>,
    body: impl FnOnce(Settings) -> Body,
) -> ExitCode
where
    Body: Future<Output = Result<(), E>>,
    // `anyhow::Error` is meant: its alternate form `{:#}` prints the whole chain of causes in one line.
    E: Display,
{
    let settings = match program.read(args, |name| std::env::var_os(name)) {
        Ok(Invocation::Run(settings)) => settings,
        Ok(Invocation::Print(text)) => return print(&text),
        Err(mistakes) => {
            last_line(format!("{mistakes}\n{0}: see `{0} --help`", program.name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match start(settings, body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            last_line(prefixed(program.name, &problem));
            ExitCode::FAILURE
        }
    }
}

fn start<Body, E>(settings: Settings, body: impl FnOnce(Settings) -> Body) -> Result<(), String>
where
    Body: Future<Output = Result<(), E>>,
    E: Display,
{
    logging::init(&settings).map_err(|error| format!("cannot start logging: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(body(settings)).map_err(|error| format!("{error:#}"))
}

/// Every line with the name in front: in a log that several processes share, each must tell whose it is.
fn prefixed(name: &str, problem: &str) -> String {
    problem.lines().map(|line| format!("{name}: {line}")).collect::<Vec<_>>().join("\n")
}

/// Says why the process ends. Writing to a full pipe blocks, and a process that was told to stop must not
/// wait for its reader, so a thread writes.
fn last_line(text: String) {
    let (written, wait) = mpsc::sync_channel(1);
    let writer = thread::Builder::new().name("last line".into()).spawn(move || {
        // Nobody may be there any more to read it, or to be told.
        let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
        let _ = written.send(());
    });
    if writer.is_ok() {
        let _ = wait.recv_timeout(LAST_LINE);
    }
}

/// Prints to stdout, ending with a line end. A reader that went away (`… --help | head -1`) is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| {
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    });
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Says on stdout, in a line of its own, that the process serves at this address. Whoever started it
/// waits for this line, so it is flushed at once.
///
/// # Errors
/// When stdout cannot be written. A process whose starter went away need not stop for that.
pub fn ready_line(address: impl Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

/// The version as `--version` shows it: `0.1.0 (1a2b3c4d5e6f)`.
#[must_use]
pub const fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("FASTCACHE_REVISION"), ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_problem_has_the_name() {
        assert_eq!(prefixed("a", "one"), "a: one");
        assert_eq!(prefixed("a", "one\ntwo"), "a: one\na: two");
    }
}
