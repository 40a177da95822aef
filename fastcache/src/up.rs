//! `fastcache up`: a whole cluster on this host, as child processes of this one.
//!
//! It starts the nodes, the health service, the proxies and HAProxy in this order, each kind when the
//! one before listens; asks them whether all is well; prints one ready line; and then watches. A child's
//! death is told and left to the operator: an `up` that restarts in secret would hide the failure that
//! somebody wants to see. Ctrl-C or SIGTERM stops all of it: those who check others first, then the proxies,
//! then the nodes.

mod base_dir;
mod child;
mod children;
mod cluster;
mod inherited;
mod log_file;
mod ports;
mod readiness;
mod severity;
mod terminal;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use daemon::{Kind, Program, Setting, Settings};

use crate::haproxy_config::{BALANCES, HaproxyConfig};
use crate::layout::{FirstPorts, Layout, MAX_NODES, MAX_PROXIES, STANDARD_NODES, STANDARD_PROXIES};
use base_dir::BaseDir;
use children::{Plan, haproxy_servers};
use cluster::Cluster;
use terminal::Terminal;

/// Everything that can be set about `fastcache up`.
static PROGRAM: Program = Program {
    name: "fastcache up",
    about: "Run a whole cluster on this host: nodes, proxies, health service and the entry, until Ctrl-C",
    settings: &[
        setting("nodes", STANDARD_NODES, Kind::Count { min: 1, max: MAX_NODES }, "How many cache nodes"),
        setting("proxies", STANDARD_PROXIES, Kind::Count { min: 1, max: MAX_PROXIES }, "How many proxies"),
        setting("host", "127.0.0.1", Kind::Host, "Where all of it listens"),
        setting(
            "entry-port",
            "6380",
            Kind::Port,
            "The port for Redis clients; any port given as 0 is a free one",
        ),
        setting("entry", "auto", Kind::Choice(&["auto", "haproxy", "shared"]), ENTRY_HELP),
        setting("balance", BALANCES[0], Kind::Choice(&BALANCES), "How HAProxy spreads connections"),
        setting("proxy-port", "6382", Kind::Port, "The first proxy's port; the others follow it"),
        setting("admin-port", "9382", Kind::Port, "The first proxy's admin port; the others follow it"),
        Setting {
            name: "admin-host",
            env: Some("ADMIN_HOST"),
            default: None,
            kind: Kind::Host,
            help: "Where the admin ports listen, which show keys and ask for no password; when unset, where all does",
        },
        setting("node-port", "7001", Kind::Port, "The first node's port; the others follow it"),
        setting("health-port", "8080", Kind::Port, "The health service's port"),
        setting("stats-port", "8404", Kind::Port, "HAProxy's statistics and metrics"),
        Setting {
            name: "maxmemory",
            env: Some("NODE_MAXMEMORY"),
            default: Some("64mb"),
            kind: Kind::Size,
            help: "How much each node may hold",
        },
        Setting {
            name: "lame-duck",
            env: Some("LAME_DUCK"),
            default: Some("0s"),
            kind: Kind::Duration,
            help: "How long a proxy that is told to end serves on, for HAProxy to take notice",
        },
        Setting {
            name: "requirepass",
            env: Some("REQUIREPASS"),
            default: None,
            kind: Kind::Secret,
            help: "Password that clients must give the proxies",
        },
        Setting {
            name: "node-password",
            env: Some("NODE_PASSWORD"),
            default: None,
            kind: Kind::Secret,
            help: "Password of the nodes, which proxies and health service give them",
        },
        Setting { name: "base-dir", env: None, default: None, kind: Kind::Path, help: BASE_DIR_HELP },
        setting("start-timeout", "60s", Kind::Duration, "Give up when it is not ready by then"),
    ],
};

const ENTRY_HELP: &str = "Who listens on the entry port: HAProxy, or the proxies together (SO_REUSEPORT); auto: HAProxy if installed";
const BASE_DIR_HELP: &str =
    "Where configuration, state and logs go [default: fastcache below $XDG_STATE_HOME or ~/.local/state]";

const fn setting(name: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { name, env: None, default: Some(default), kind, help }
}

/// Runs the command.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    daemon::run_main(&PROGRAM, args, run)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = daemon::shutdown::listen().context("cannot listen for signals")?;
    let haproxy = haproxy(settings.text("entry"))?;
    let layout = ports::lay_out(&settings, haproxy.is_some())?;
    // Before the ports: a second `up` in the same directory is one mistake, not one for each port.
    let mut base_dir = BaseDir::lock(settings.optional_path("base-dir"))?;
    ports::ensure_free(&layout)?;
    base_dir.clear()?;
    raise_file_limit();
    let plan = Plan::new(&settings, &layout, haproxy.as_deref(), base_dir.path());
    write_configuration(&layout, settings.text("balance"), base_dir.path())?;
    let terminal = Terminal::start(plan.len())?;
    terminal.say(&format!("logs, state and configuration are in {}", base_dir.path().display()));
    if !plan.shows_routine {
        terminal
            .say("shown here is what needs attention; LOG_LEVEL=info shows what the processes log as well");
    }
    if layout.stats.is_some() && max_connections() < MOST_CONNECTIONS {
        let clients = max_connections();
        terminal.say(&format!("the entry takes {clients} clients at a time: raise `ulimit -n` for more"));
    }
    let mut cluster = Cluster::new(terminal.clone(), layout, base_dir.path().to_owned());
    let result = cluster.run(&plan, settings.duration("start-timeout"), shutdown).await;
    cluster.stop().await;
    terminal.flush();
    result
}

/// The executable of HAProxy, if the entry is to be it.
fn haproxy(entry: &str) -> anyhow::Result<Option<PathBuf>> {
    if entry == "shared" {
        return Ok(None);
    }
    let found = find_haproxy();
    anyhow::ensure!(
        found.is_some() || entry == "auto",
        "--entry haproxy: there is no `haproxy` on the PATH; install it or use --entry shared"
    );
    Ok(found)
}

fn find_haproxy() -> Option<PathBuf> {
    // Debian installs it where only root's PATH looks.
    const ALSO: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(ALSO.map(PathBuf::from));
    directories.map(|directory| directory.join("haproxy")).find(|file| file.is_file())
}

fn write_configuration(layout: &Layout, balance: &str, directory: &Path) -> anyhow::Result<()> {
    let mut files = vec![("cluster.toml", children::cluster_toml(layout))];
    if let Some(stats) = layout.stats {
        let config = HaproxyConfig {
            entry: layout.address(layout.entry),
            stats: layout.address(stats),
            max_connections: max_connections(),
            balance: balance.to_owned(),
            proxies: haproxy_servers(layout),
            docker_names: false,
        };
        files.push(("haproxy.cfg", config.render()));
    }
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Children inherit the limit, and a proxy's clients are file descriptors: the usual soft limit of 1024
/// is there for programs that use `select`. What cannot be raised stays as it is.
fn raise_file_limit() {
    /// Enough for any test on one host; without a bound, programs that size tables by it waste memory.
    const ENOUGH: u64 = 65_536;
    daemon::open_files::raise_limit(ENOUGH);
}

/// Clients that HAProxy takes at a time where the limit of open files allows it: what one proxy takes.
const MOST_CONNECTIONS: u64 = 10_000;

/// HAProxy refuses to start when its connections, two descriptors each, do not fit the limit.
fn max_connections() -> u64 {
    /// Listeners, checks and logs need some as well.
    const RESERVED: u64 = 100;
    (daemon::open_files::limit().saturating_sub(RESERVED) / 2).clamp(1, MOST_CONNECTIONS)
}

fn first_ports(settings: &Settings) -> FirstPorts {
    FirstPorts {
        entry: settings.port("entry-port"),
        node: settings.port("node-port"),
        proxy: settings.port("proxy-port"),
        admin: settings.port("admin-port"),
        health: settings.port("health-port"),
        stats: settings.port("stats-port"),
    }
}
