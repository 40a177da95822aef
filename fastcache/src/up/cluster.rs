//! The running cluster: starts the children group by group, watches them, stops them in order.

use std::fmt::Display;
use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::child::{ChildSpec, Event, Handle, Output, quoted};
use super::children::Plan;
use super::log_file::LogFile;
use super::ports;
use super::readiness;
use super::terminal::{Prefix, Terminal};
use crate::layout::{HAPROXY, Layout};

/// How long a group of children may take to stop before it is killed; a drain takes far less.
const GRACE: Duration = Duration::from_secs(5);
/// How often readiness is asked for. Fifty times shorter than what a person calls quick.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Events of all children; when it is full they wait a moment.
const MAX_EVENTS: usize = 64;
/// Where `redis-cli` and `fastcache status` look when they are told nothing.
const LOCALHOST: &str = "127.0.0.1";
const HEALTH_PORT: u16 = 8080;
/// In front of a command line: a child started by hand is not one that this command watches or stops.
const START_AGAIN: &str = "to start it again (it is then yours to stop): ";

/// A child's place in the order of stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// HAProxy and the health service, first: who checks others would take their stop for an outage, and
    /// log and keep that verdict.
    Checker,
    /// While the nodes still serve the requests under way.
    Proxy,
    /// Last.
    Node,
}

#[derive(Debug)]
struct Member {
    role: Role,
    handle: Handle,
    is_listening: bool,
    has_exited: bool,
}

/// The children and what is known of them.
#[derive(Debug)]
pub(super) struct Cluster {
    terminal: Terminal,
    layout: Layout,
    directory: PathBuf,
    members: Vec<Member>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
}

impl Cluster {
    pub(super) fn new(terminal: Terminal, layout: Layout, directory: PathBuf) -> Self {
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        Self { terminal, layout, directory, members: Vec::new(), events, sender }
    }

    /// Starts the cluster and watches it until `shutdown`, which gives the signal's name.
    ///
    /// # Errors
    /// When it does not become ready in time, or is stopped before. What was started is left for [`Cluster::stop`].
    pub(super) async fn run(
        &mut self,
        plan: &Plan,
        patience: Duration,
        shutdown: impl Future<Output = &'static str>,
    ) -> anyhow::Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        let began = Instant::now();
        let started = tokio::select! {
            started = self.start(plan, began + patience) => started,
            signal = shutdown.as_mut() => Err(anyhow::anyhow!("stopped before it was ready ({signal})")),
        };
        self.terminal.end_progress();
        started?;
        self.terminal.ready(&self.ready_line(began.elapsed()));
        self.terminal.say(&self.next_line(plan.asks_clients));
        if let Some(line) = self.reload_line() {
            self.terminal.say(&line);
        }
        let signal = self.watch(shutdown).await;
        self.terminal.say(&format!("received {signal}"));
        Ok(())
    }

    async fn start(&mut self, plan: &Plan, deadline: Instant) -> anyhow::Result<()> {
        let groups: [(&str, Role, &[ChildSpec]); 3] = [
            ("node", Role::Node, &plan.nodes),
            ("health service", Role::Checker, std::slice::from_ref(&plan.health)),
            ("proxy", Role::Proxy, &plan.proxies),
        ];
        for (what, role, specs) in groups {
            self.terminal.phase(&format!("starting {}", amount(specs.len(), what)));
            self.start_group(plan, role, specs)?;
            self.until_all_listen(what, deadline).await?;
        }
        // Until they have a view, proxies answer PING with an error, and HAProxy would take them out.
        self.until(readiness::proxies_answer, deadline).await?;
        if let Some(spec) = &plan.haproxy {
            self.terminal.phase("starting HAProxy");
            self.start_group(plan, Role::Checker, std::slice::from_ref(spec))?;
        }
        self.until(readiness::cluster_serves, deadline).await?;
        if plan.haproxy.is_some() {
            // It does not tell when it listens: that the entry answers says so.
            self.terminal.advance();
        }
        Ok(())
    }

    fn start_group(&mut self, plan: &Plan, role: Role, specs: &[ChildSpec]) -> anyhow::Result<()> {
        for spec in specs {
            let index = self.members.len();
            let log = self.directory.join("logs").join(format!("{}.log", spec.name));
            let log =
                LogFile::create(log).with_context(|| format!("cannot write the log of {}", spec.name))?;
            let prefix = Prefix::new(&spec.name, plan.name_width(), index);
            let shows_routine = plan.shows_routine;
            let output = Output { terminal: self.terminal.clone(), prefix, log, shows_routine };
            let handle = Handle::start(spec, index, output, self.sender.clone())
                .with_context(|| format!("cannot start {}", spec.name))?;
            self.members.push(Member { role, handle, is_listening: false, has_exited: false });
        }
        Ok(())
    }

    async fn until_all_listen(&mut self, what: &str, deadline: Instant) -> anyhow::Result<()> {
        while let Some(silent) = self.members.iter().find(|member| !member.is_listening) {
            let name = silent.handle.name.clone();
            let event = timeout_at(deadline, self.events.recv()).await;
            let event =
                event.with_context(|| format!("gave up waiting for the {what}: {name} does not listen"))?;
            self.during_start(event)?;
        }
        Ok(())
    }

    /// Asks again and again until the answer is good.
    async fn until(
        &mut self,
        ask: fn(&Layout) -> Result<(), String>,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        loop {
            let layout = self.layout.clone();
            let waiting_for = match tokio::task::spawn_blocking(move || ask(&layout)).await? {
                Ok(()) => break,
                Err(waiting_for) => waiting_for,
            };
            self.terminal.waiting_for(&waiting_for);
            anyhow::ensure!(Instant::now() < deadline, "gave up waiting: {waiting_for}");
            tokio::select! {
                event = self.events.recv() => self.during_start(event)?,
                () = sleep(ASK_AGAIN) => {}
            }
        }
        Ok(())
    }

    /// Until the cluster is ready, a child that ends makes the whole start fail.
    fn during_start(&mut self, event: Option<Event>) -> anyhow::Result<()> {
        match event {
            Some(Event::Listening(index)) => {
                self.members[index].is_listening = true;
                self.terminal.advance();
            }
            Some(Event::Exited(index, status)) => {
                let member = &mut self.members[index];
                member.has_exited = true;
                let (name, log) = (&member.handle.name, member.handle.log.display());
                anyhow::bail!("{name} {} before the cluster was ready; its log: {log}", how(status));
            }
            // The sender lives as long as `self`.
            None => {}
        }
        Ok(())
    }

    async fn watch(&mut self, mut shutdown: Pin<&mut impl Future<Output = &'static str>>) -> &'static str {
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                signal = shutdown.as_mut() => return signal,
            };
            if let Some(Event::Exited(index, status)) = event {
                let member = &mut self.members[index];
                member.has_exited = true;
                let (name, again) = (&member.handle.name, &member.handle.again);
                self.terminal.say(&format!("{name} {}; {START_AGAIN}{again}", how(status)));
            }
        }
    }

    /// Stops all children in the order of their roles; who does not end within the grace time is killed.
    pub(super) async fn stop(&mut self) {
        let ended_before: Vec<String> = self.exited().map(|member| member.handle.name.clone()).collect();
        self.terminal.say("stopping; what the processes still say is in their logs");
        // That HAProxy's worker was ended and that proxies lost the health service: what was asked for, and
        // alarming to read.
        self.terminal.mute_children();
        for role in [Role::Checker, Role::Proxy, Role::Node] {
            self.signal(role, Signal::TERM);
            if self.until_exited(role, Instant::now() + GRACE).await {
                continue;
            }
            let names = self.running(role).map(|member| member.handle.name.clone()).collect::<Vec<_>>();
            self.terminal.say(&format!("killing what did not stop within {GRACE:?}: {}", names.join(", ")));
            self.signal(role, Signal::KILL);
            // SIGKILL cannot be refused; only a process stuck in the kernel outlasts it.
            self.until_exited(role, Instant::now() + GRACE).await;
        }
        self.terminal.say(&self.last_line(ended_before));
    }

    /// `names` are those who had ended before: their ports are taken only if somebody started them again.
    fn last_line(&self, mut names: Vec<String>) -> String {
        names
            .retain(|name| self.layout.port_of(name).is_some_and(|port| ports::is_taken(&self.layout, port)));
        if names.is_empty() {
            "stopped".to_owned()
        } else {
            format!("stopped; still running, as they were started by hand: {}", names.join(", "))
        }
    }

    fn signal(&self, role: Role, signal: Signal) {
        self.running(role).for_each(|member| member.handle.signal(signal));
    }

    async fn until_exited(&mut self, role: Role, deadline: Instant) -> bool {
        while self.running(role).next().is_some() {
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(Event::Exited(index, _))) => self.members[index].has_exited = true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn exited(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.has_exited)
    }

    fn running(&self, role: Role) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.role == role && !member.has_exited)
    }

    /// What somebody who has never seen it types next.
    fn next_line(&self, asks_clients: bool) -> String {
        let Layout { host, entry, health, .. } = &self.layout;
        let here = host == LOCALHOST;
        let redis_host = if here { String::new() } else { format!("-h {host} ") };
        let password = if asks_clients { "--askpass " } else { "" };
        let page = format!("http://{}", self.layout.address(*health));
        let address =
            if here && *health == HEALTH_PORT { String::new() } else { format!(" --health {page}") };
        // As it was typed: it need not be on the PATH.
        let program = std::env::args().next().unwrap_or_else(|| "fastcache".to_owned());
        format!(
            "try `redis-cli {redis_host}-p {entry} {password}SET greeting hello` and `{} status{address}`; watch {page}/; \
             Ctrl-C stops all of it",
            quoted(&program)
        )
    }

    /// How HAProxy takes a changed file, if it runs.
    fn reload_line(&self) -> Option<String> {
        let haproxy = self.members.iter().find(|member| member.handle.name == HAPROXY)?;
        let (pid, file) = (haproxy.handle.pid?, self.directory.join("haproxy.cfg"));
        Some(format!(
            "`kill -USR2 {pid}` makes HAProxy read {} again; the next `fastcache up` writes that file anew",
            file.display()
        ))
    }

    fn ready_line(&self, took: Duration) -> String {
        let layout = &self.layout;
        let by = if layout.stats.is_some() { "HAProxy" } else { "shared by the proxies" };
        let stats = layout.stats.map(|port| format!(" · statistics http://{}/stats", layout.address(port)));
        format!(
            "ready in {:.1} s: Redis at {} ({by}) · health http://{}/health/summary{} · {} · {}",
            took.as_secs_f64(),
            layout.address(layout.entry),
            layout.address(layout.health),
            stats.unwrap_or_default(),
            counted("node", &layout.nodes),
            counted("proxy", &layout.proxies.iter().map(|ports| ports.clients).collect::<Vec<_>>()),
        )
    }
}

/// `1 proxy`, `2 proxies`.
fn amount(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("1 {what}"),
        (_, "proxy") => format!("{count} proxies"),
        _ => format!("{count} {what}s"),
    }
}

/// `50 nodes 7001-7050`; ports that are not one run are listed.
fn counted(what: &str, ports: &[u16]) -> String {
    let is_run = ports.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    let list = match ports {
        [first, .., last] if is_run => format!("{first}-{last}"),
        _ => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
    };
    format!("{} {list}", amount(ports.len(), what))
}

/// How a child ended, as the end of a sentence that starts with its name.
fn how(status: ExitStatus) -> impl Display {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended (status 0)".to_owned(),
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal} ({})", signal_name(signal)),
        (None, None) => format!("ended ({status})"),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match Signal::from_named_raw(signal) {
        Some(Signal::KILL) => "SIGKILL",
        Some(Signal::TERM) => "SIGTERM",
        Some(Signal::INT) => "SIGINT",
        Some(Signal::ABORT) => "SIGABRT",
        Some(Signal::SEGV) => "SIGSEGV",
        Some(Signal::BUS) => "SIGBUS",
        Some(Signal::ILL) => "SIGILL",
        _ => "see `kill -l`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_run_or_a_list() {
        assert_eq!(counted("node", &[7001, 7002, 7003]), "3 nodes 7001-7003");
        assert_eq!(counted("node", &[7001]), "1 node 7001");
        assert_eq!(counted("proxy", &[6382, 7000]), "2 proxies 6382,7000");
    }

    #[test]
    fn an_end_is_told_with_its_reason() {
        // Wait statuses: the exit code is the second byte, the signal the lowest.
        for (raw, told) in
            [(0, "ended (status 0)"), (1 << 8, "ended with status 1"), (9, "was ended by signal 9 (SIGKILL)")]
        {
            assert_eq!(how(ExitStatus::from_raw(raw)).to_string(), told);
        }
    }
}
