//! HAProxy in front of a cluster of separate processes, with the configuration that is shipped; only ports, addresses
//! and how long a busy machine may take for an answer are the test's own.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::binaries::fastcache;
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::http;
use crate::output::output;
use crate::ports::free_port;
use crate::process::Process;

/// A running HAProxy.
pub(crate) struct Haproxy {
    _process: Process,
    _files: TempDir,
    /// Where Redis clients connect.
    pub(crate) entry_port: u16,
    stats: String,
}

impl Haproxy {
    /// Starts it and waits until it has found every proxy well.
    pub(crate) fn before(cluster: &Cluster) -> Self {
        let (entry_port, stats) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let files = TempDir::new().expect("a temporary directory");
        let path = files.path().join("haproxy.cfg");
        fs::write(&path, config(cluster, entry_port, &stats)).expect("a writable directory");
        let mut command = Command::new("haproxy");
        // Debian has it where only root looks for programs.
        let path_of_programs = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        command.env("PATH", path_of_programs).arg("-db").arg("-f").arg(path);
        let haproxy = Self { _process: Process::spawn("haproxy", command), _files: files, entry_port, stats };
        cluster.proxies.iter().for_each(|proxy| haproxy.until_up(&proxy.id));
        haproxy
    }

    /// Waits until it sends clients to this proxy.
    pub(crate) fn until_up(&self, proxy: &str) {
        self.until(proxy, "UP");
    }

    /// Waits until it has noticed that this proxy is gone.
    pub(crate) fn until_down(&self, proxy: &str) {
        self.until(proxy, "DOWN");
    }

    fn until(&self, proxy: &str, state: &str) {
        let line =
            format!("haproxy_server_status{{proxy=\"proxies\",server=\"{proxy}\",state=\"{state}\"}} 1");
        eventually(&format!("{proxy} is {state}"), || match http::get(&self.stats, "/metrics")? {
            (200, metrics) if metrics.contains(&line) => Ok(()),
            (status, _) => Err(format!("not yet: {status}")),
        });
    }
}

fn config(cluster: &Cluster, entry_port: u16, stats: &str) -> String {
    let proxies = cluster.proxies.len().to_string();
    let output = output(fastcache(&["haproxy-config", "--proxies", &proxies]), b"");
    let mut config = String::from_utf8(output.stdout).expect("its output is text");
    let mut put = |what: String, instead: String| {
        assert!(config.contains(&what), "there is no {what:?} in {config}");
        config = config.replace(&what, &instead);
    };
    put("bind :6380".to_owned(), format!("bind 127.0.0.1:{entry_port}"));
    put("bind :8404".to_owned(), format!("bind {stats}"));
    // A proxy that only waits for a processor keeps its clients. Whoever is dead refuses at once, and again.
    put("timeout connect 300ms".to_owned(), "timeout connect 20s".to_owned());
    put("timeout check 1s".to_owned(), "timeout check 20s".to_owned());
    put("fall 3 ".to_owned(), "fall 15 ".to_owned());
    for (index, proxy) in cluster.proxies.iter().enumerate() {
        let admin_port = cluster.admin_port(index);
        put(
            format!("fastcache-{}:6379 check port 9382", proxy.id),
            format!("{} check port {admin_port}", proxy.address),
        );
    }
    config
}
