//! One child process: started in a process group of its own, its output read line by line, its end told.
//!
//! *Its own group*: Ctrl-C in a terminal goes to the whole foreground group; the children would stop in
//! any order, and requests under way would fail. Only this command gets it, and stops them in order.
//! *Its end*: a child is never started again silently; what died, how, and the command that starts it
//! again is one line.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use daemon::{Program, Secret};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::inherited;
use super::log_file::LogFile;
use super::severity::is_routine;
use super::terminal::{Prefix, Terminal};
use crate::guarded;

/// What a process says when it serves, see `daemon::ready_line`.
const READY_LINE: &str = "listening on ";
/// A longer line is cut into several: nobody reads it, and it must fit in memory 56 times.
const MAX_LINE_BYTES: u64 = 16 * 1024;

/// The topology and the ports are those laid out here, not what is left in the user's environment from
/// another cluster; files of settings, one for each program, could hold any of them. All else is inherited:
/// `HEALTH_CHECK_INTERVAL=5s fastcache up` does what it says.
const OURS: [&str; 10] = [
    "CLUSTER_NODES",
    "CLUSTER_PROXIES",
    "CLUSTER_FILE",
    "NODE_COUNT",
    "NODE_ADMIN_PORT",
    "ENTRY_PORT",
    // The nodes of `up` know no user but the default one.
    "NODE_USERNAME",
    "CACHE_NODE_CONFIG",
    "CACHE_PROXY_CONFIG",
    "HEALTH_SERVICE_CONFIG",
];

/// The programs of this binary.
static OWN: [&Program; 3] = [&cache_node::PROGRAM, &cache_proxy::PROGRAM, &health_service::PROGRAM];

/// A child as it is to be started: which program of this binary, or which other one.
#[derive(Debug, Clone)]
pub(super) struct ChildSpec {
    pub(super) name: String,
    /// `cache-node`, `cache-proxy`, `health-service` or the path of HAProxy.
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// What it is told by environment variables, whatever this command was told it by.
    pub(super) secrets: Vec<Told>,
}

/// A secret, and the variable that tells it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) name: &'static str,
    pub(super) secret: Secret,
    /// This command was told it by a flag, which wins over the environment.
    pub(super) by_flag: bool,
}

/// Something that happened to a child, by its index.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// It said that it serves.
    Listening(usize),
    /// It ended.
    Exited(usize, ExitStatus),
}

/// A running child; its end is told as an [`Event`].
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) name: String,
    signals: mpsc::Sender<Signal>,
    pub(super) log: PathBuf,
    /// The command line that starts it again.
    pub(super) again: String,
    /// Its process; also that of HAProxy's master.
    pub(super) pid: Option<u32>,
}

/// Where a child's lines go.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) terminal: Terminal,
    pub(super) prefix: Prefix,
    pub(super) log: LogFile,
    /// Whether the terminal shows what goes as it should; the log has it in any case.
    pub(super) shows_routine: bool,
}

impl ChildSpec {
    /// The command line that starts it by hand, ready for a shell.
    pub(super) fn command_line(&self) -> std::io::Result<String> {
        let own = self.own();
        let mut words = inherited::assignments(own, &self.args, |name| {
            self.variable(name, |name| std::env::var(name).ok())
        });
        if own.is_some() {
            words.push(quoted(&std::env::current_exe()?.to_string_lossy()));
        }
        words.push(quoted(&self.program));
        words.extend(self.args.iter().map(|word| quoted(word)));
        Ok(words.join(" "))
    }

    /// Which program of this binary it is; HAProxy is none.
    pub(super) fn own(&self) -> Option<&'static Program> {
        OWN.into_iter().find(|own| own.name == self.program)
    }

    /// A variable of its environment, as whoever starts it again has to set it: a secret, or the file it was in.
    /// `of_this` is the environment of this command.
    fn variable(&self, name: &str, of_this: impl Fn(&str) -> Option<String>) -> Option<String> {
        let inherited = |name: &str| of_this(name).filter(|value| !value.is_empty() && !OURS.contains(&name));
        let file = |name: &str| format!("{name}_FILE");
        if self.secrets.iter().any(|told| told.by_flag && file(told.name) == name) {
            return None;
        }
        let told = self.secrets.iter().find(|told| told.name == name);
        let told = told.filter(|told| told.by_flag || inherited(&file(name)).is_none());
        told.map(|told| told.secret.expose().to_owned()).or_else(|| inherited(name))
    }
}

impl Handle {
    /// Starts the child at `index`.
    pub(super) fn start(
        spec: &ChildSpec,
        index: usize,
        output: Output,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = Command::new(std::env::current_exe()?);
        for name in OURS {
            command.env_remove(name);
        }
        for name in inherited::secrets_of_others(spec.own(), &OWN) {
            command.env_remove(format!("{name}_FILE")).env_remove(name);
        }
        for Told { name, secret, .. } in &spec.secrets {
            command.env_remove(format!("{name}_FILE")).env(name, secret.expose());
        }
        let child = command
            .args(guarded::arguments(&spec.program, &spec.args))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (log, pid) = (output.log.path().to_owned(), child.id());
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        tokio::spawn(read_lines(reader, output, index, events.clone()));
        // One signal waits while another is sent; there is nothing to gain from more.
        let (signals, received) = mpsc::channel(1);
        tokio::spawn(tend(child, index, received, events));
        Ok(Self { name: spec.name.clone(), signals, log, again: spec.command_line()?, pid })
    }

    /// Sends a signal, unless the child has ended already.
    pub(super) fn signal(&self, signal: Signal) {
        // Either the child has ended, which is what the signal is for, or one that it has yet to get waits
        // already.
        let _ = self.signals.try_send(signal);
    }
}

/// Sends it the signals and tells its end. Only this task reaps the child, so its id is its own until then.
async fn tend(
    mut child: Child,
    index: usize,
    mut signals: mpsc::Receiver<Signal>,
    events: mpsc::Sender<Event>,
) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = signals.recv() => {
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                    // It can only have ended in between, which `wait` tells.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    };
    if let Ok(status) = status {
        // Nobody listens any more when this command itself is ending.
        let _ = events.send(Event::Exited(index, status)).await;
    }
}

async fn read_lines(pipe: pipe::Receiver, mut output: Output, index: usize, events: mpsc::Sender<Event>) {
    let mut pipe = BufReader::with_capacity(1024, pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.starts_with(READY_LINE) {
            // The terminal shows it as progress.
            let _ = events.send(Event::Listening(index)).await;
        } else if output.shows_routine || !is_routine(text) {
            output.terminal.child_line(&output.prefix, text);
        }
        if let Err(error) = output.log.line(text) {
            let path = output.log.path().display();
            output.terminal.child_line(&output.prefix, &format!("(cannot write {path}: {error})"));
        }
    }
}

/// The word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_settings_are_not_inherited() {
        for program in OWN {
            let variable = program.config_variable();
            assert!(OURS.contains(&variable.as_str()), "{variable}");
        }
    }

    #[test]
    fn a_password_is_told_in_the_way_that_this_command_went_by() {
        let environment = |name: &str| (name == "REQUIREPASS_FILE").then(|| "/run/other".to_owned());
        for (by_flag, variable, file) in [(true, Some("s3cret"), None), (false, None, Some("/run/other"))] {
            let told = Told { name: "REQUIREPASS", secret: "s3cret".into(), by_flag };
            let (name, program) = ("proxy1".into(), "cache-proxy".into());
            let spec = ChildSpec { name, program, args: Vec::new(), secrets: vec![told] };
            let found = |name| spec.variable(name, environment);
            assert_eq!(found("REQUIREPASS").as_deref(), variable);
            assert_eq!(found("REQUIREPASS_FILE").as_deref(), file);
        }
    }

    #[test]
    fn command_lines_survive_a_shell() {
        for (word, shell) in [
            ("--port", "--port"),
            ("/a b", "'/a b'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), shell);
        }
    }
}
