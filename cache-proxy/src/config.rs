//! The proxy's settings: declared once as data, then turned into a checked [`Config`].

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{ApiToken, NodeId, NodeLogin};
use daemon::{Kind, Program, Secret, Setting, Settings};

/// The lame-duck time of a proxy whose `/readyz` can be asked: twice what HAProxy with `inter 1s` needs.
const LAME_DUCK: Duration = Duration::from_secs(2);

/// What all clients of a worker may have at least: a pipeline of some clients with small replies.
const LEAST_OF_ALL: usize = 1024 * 1024;

const MIB: u64 = 1024 * 1024;

/// What can be set about a proxy.
pub static PROGRAM: Program = Program {
    name: "cache-proxy",
    about: "Routes Redis commands to cache nodes by the health service's view",
    settings: &[
        Setting::new(
            "host",
            Some("PROXY_HOST"),
            Some("127.0.0.1"),
            Kind::Host,
            "Address to listen on for clients",
        ),
        Setting::new(
            "port",
            Some("PROXY_PORT"),
            Some("6382"),
            Kind::Port,
            "Port to listen on for clients; 0 picks a free one",
        ),
        Setting::new(
            "entry-port",
            Some("ENTRY_PORT"),
            None,
            Kind::Port,
            "A second port, shared with the other proxies of this machine by SO_REUSEPORT",
        ),
        Setting::new(
            "admin-port",
            Some("ADMIN_PORT"),
            None,
            Kind::Port,
            "Port for /livez, /readyz, /metrics, and as JSON for what PROXY tells; none when unset",
        ),
        Setting::new(
            "admin-host",
            Some("ADMIN_HOST"),
            None,
            Kind::Host,
            "Address of the admin port, which shows keys and asks for no password; when unset, that for clients (--host)",
        ),
        Setting::new(
            "proxy-id",
            Some("PROXY_ID"),
            Some("proxy1"),
            Kind::Text,
            "This proxy's id in the cluster",
        ),
        Setting::new(
            "health-service",
            Some("HEALTH_SERVICE_URL"),
            Some("http://127.0.0.1:8080"),
            Kind::Url,
            "The health service to follow",
        ),
        Setting::new(
            "api-token",
            Some("HEALTH_API_TOKEN"),
            None,
            Kind::Secret,
            "The health service's API token, if it has one: without it reports are refused",
        ),
        Setting::new(
            "cluster",
            Some("CLUSTER_FILE"),
            None,
            Kind::Path,
            "cluster.toml to route by until the first view comes: for a start without the health service",
        ),
        Setting::new(
            "state-dir",
            Some("STATE_DIR"),
            None,
            Kind::Path,
            "Directory that keeps the last view over a restart; none when unset",
        ),
        Setting::new(
            "workers",
            Some("WORKERS"),
            Some("1"),
            Kind::Count { min: 1, max: 256 },
            "Threads that serve clients",
        ),
        Setting::new(
            "maxclients",
            Some("MAXCLIENTS"),
            Some("10000"),
            Kind::Count { min: 1, max: 1_000_000 },
            "Most clients at a time, over all workers",
        ),
        Setting::new(
            "proto-max-bulk-len",
            Some("PROTO_MAX_BULK_LEN"),
            Some("512mb"),
            Kind::SizeWithin { min: MIB, max: 512 * MIB },
            "Longest argument a client may send. Values over 1mb of commands with one key pass through while they come; \
             arguments of MSET, scripts and transactions are held whole, for a moment up to three times. Not more than \
             the nodes allow: theirs ends the connection",
        ),
        Setting::new(
            "client-output-buffer-limit",
            Some("CLIENT_OUTPUT_BUFFER_LIMIT"),
            Some("256mb"),
            Kind::SizeWithin { min: MIB, max: 1024 * 1024 * MIB },
            "Replies that may pile up for a client that takes none; it is read no further from a quarter of it on, \
             and closed beyond it",
        ),
        Setting::new(
            "maxmemory-clients",
            Some("MAXMEMORY_CLIENTS"),
            Some("0"),
            Kind::Size,
            "What all clients together may have in replies not taken and requests not finished; the one with the \
             most is closed first, also when it asks for one value as large as this. 0 is no limit",
        ),
        Setting::new(
            "requirepass",
            Some("REQUIREPASS"),
            None,
            Kind::Secret,
            "Password that clients must give",
        ),
        Setting::new(
            "node-password",
            Some("NODE_PASSWORD"),
            None,
            Kind::Secret,
            "Password to give the nodes; a node without one is used as well",
        ),
        Setting::new(
            "node-username",
            Some("NODE_USERNAME"),
            None,
            Kind::Text,
            "User to log in to the nodes as; without it the one whom their requirepass is for",
        ),
        Setting::new(
            "hold-timeout",
            Some("HOLD_TIMEOUT"),
            Some("1s"),
            Kind::Duration,
            "How long a request waits for a node that cannot be reached before it is answered with an error",
        ),
        Setting::new(
            "node-timeout",
            Some("NODE_TIMEOUT"),
            Some("5s"),
            Kind::Duration,
            "How long a reply may take before the connection to the node is given up",
        ),
        Setting::new(
            "suspect-after",
            Some("SUSPECT_AFTER"),
            Some("200ms"),
            Kind::Duration,
            "How long a reply may take before the node is reported to the health service",
        ),
        Setting::new(
            "connect-timeout",
            Some("CONNECT_TIMEOUT"),
            Some("500ms"),
            Kind::Duration,
            "How long connecting to a node may take",
        ),
        Setting::new(
            "slowlog-log-slower-than",
            Some("SLOWLOG_LOG_SLOWER_THAN"),
            Some("10000"),
            Kind::Count { min: 0, max: u64::MAX },
            "Requests that take at least this many microseconds are kept for PROXY SLOWLOG",
        ),
        Setting::new(
            "slowlog-max-len",
            Some("SLOWLOG_MAX_LEN"),
            Some("128"),
            Kind::Count { min: 0, max: 100_000 },
            "How many slow requests are kept, over all workers; 0 is none",
        ),
        Setting::new(
            "lame-duck",
            Some("LAME_DUCK"),
            None,
            Kind::Duration,
            "How long to serve on at shutdown with /readyz saying no, so that load balancers see it before any \
             client; when unset, 2s with an admin port and 0s without",
        ),
        Setting::new(
            "drain-timeout",
            Some("DRAIN_TIMEOUT"),
            Some("5s"),
            Kind::Duration,
            "How long requests in flight may take to finish at shutdown, after the lame-duck time",
        ),
    ],
};

/// A proxy's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// A second port that is shared with other proxies.
    pub entry_port: Option<u16>,
    /// Port of the admin endpoints.
    pub admin_port: Option<u16>,
    /// Address of the admin endpoints.
    pub admin_host: String,
    /// This proxy's id.
    pub proxy_id: NodeId,
    /// Base URL of the health service.
    pub health_service: String,
    /// The health service's API token.
    pub api_token: Option<ApiToken>,
    /// A topology to start with.
    pub cluster_file: Option<PathBuf>,
    /// Where the last view is kept.
    pub state_dir: Option<PathBuf>,
    /// Number of worker threads.
    pub workers: usize,
    /// Most clients, over all workers.
    pub max_clients: usize,
    /// Longest value a client may send, in bytes.
    pub max_bulk_len: usize,
    /// Most bytes of replies that pile up for one client.
    pub client_output_buffer_limit: usize,
    /// Most bytes that all clients together have in replies not taken and requests not finished; 0 is no limit.
    pub maxmemory_clients: usize,
    /// Password that clients must give.
    pub password: Option<Secret>,
    /// What to say to the nodes first.
    pub node_login: Option<NodeLogin>,
    /// Longest wait for a node that cannot be reached.
    pub hold_timeout: Duration,
    /// Longest wait for a reply.
    pub node_timeout: Duration,
    /// Wait for a reply after which the node is reported.
    pub suspect_after: Duration,
    /// Longest time to connect to a node.
    pub connect_timeout: Duration,
    /// What takes at least this long is kept in the slow log.
    pub slowlog_log_slower_than: Duration,
    /// Most entries of the slow log.
    pub slowlog_max_len: usize,
    /// How long to serve on at shutdown before any client is closed.
    pub lame_duck: Duration,
    /// Longest wait for requests in flight at shutdown, after the lame-duck time.
    pub drain_timeout: Duration,
}

impl Config {
    /// Takes the settings over.
    ///
    /// # Errors
    /// With a line for each mistake: an id that is none, a time of 0, all clients together with next to nothing.
    pub fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let mut mistakes = Vec::new();
        for name in ["hold-timeout", "node-timeout", "suspect-after", "connect-timeout"] {
            if settings.duration(name).is_zero() {
                mistakes.push(format!("--{name} must be more than 0"));
            }
        }
        // The kinds in `PROGRAM` bound these numbers far below `usize`, or more is as good as no limit.
        let count = |name| usize::try_from(settings.count(name)).unwrap_or(usize::MAX);
        let workers = count("workers");
        let maxmemory_clients = count("maxmemory-clients");
        if maxmemory_clients > 0 && maxmemory_clients / workers < LEAST_OF_ALL {
            mistakes.push("--maxmemory-clients must be 0, or at least 1mb for each worker".to_owned());
        }
        let proxy_id = NodeId::new(settings.text("proxy-id"));
        let proxy_id = noted("proxy-id", proxy_id, &mut mistakes);
        let api_token = settings.optional_text("api-token").map(ApiToken::new).transpose();
        let api_token = noted("api-token", api_token, &mut mistakes);
        let (user, password) =
            (settings.optional_text("node-username"), settings.optional_text("node-password"));
        let node_login = noted("node-username", NodeLogin::new(user, password), &mut mistakes);
        let (Some(proxy_id), Some(api_token), Some(node_login), true) =
            (proxy_id, api_token, node_login, mistakes.is_empty())
        else {
            anyhow::bail!(mistakes.join("\n"));
        };
        let admin_port = settings.optional_port("admin-port");
        let unset = if admin_port.is_some() { LAME_DUCK } else { Duration::ZERO };
        let secret = |name| settings.optional_text(name).filter(|text| !text.is_empty()).map(Secret::from);
        Ok(Self {
            host: settings.text("host").to_owned(),
            port: settings.port("port"),
            entry_port: settings.optional_port("entry-port"),
            admin_port,
            admin_host: settings.optional_text("admin-host").unwrap_or(settings.text("host")).to_owned(),
            proxy_id,
            health_service: settings.text("health-service").to_owned(),
            api_token,
            cluster_file: settings.optional_path("cluster").map(Into::into),
            state_dir: settings.optional_path("state-dir").map(Into::into),
            workers,
            max_clients: count("maxclients"),
            max_bulk_len: count("proto-max-bulk-len"),
            client_output_buffer_limit: count("client-output-buffer-limit"),
            maxmemory_clients,
            password: secret("requirepass"),
            node_login,
            hold_timeout: settings.duration("hold-timeout"),
            node_timeout: settings.duration("node-timeout"),
            suspect_after: settings.duration("suspect-after"),
            connect_timeout: settings.duration("connect-timeout"),
            slowlog_log_slower_than: Duration::from_micros(settings.count("slowlog-log-slower-than")),
            slowlog_max_len: count("slowlog-max-len"),
            lame_duck: settings.optional_duration("lame-duck").unwrap_or(unset),
            drain_timeout: settings.duration("drain-timeout"),
        })
    }

    /// Raises the limit of open files to what the clients need; when it cannot be raised so far, fewer
    /// clients are let in, because they would be left waiting without an answer.
    pub fn fit_to_open_files(&mut self) {
        /// Files besides the clients' sockets: two connections to each of some hundred nodes, listeners, logs; and
        /// the admin port's, so that `/readyz` is answered when there are as many clients as may be.
        const RESERVED: u64 = 512 + daemon::admin::MAX_CONNECTIONS as u64;
        // A client may have a node connection to itself. Where there is no room for all of those, who blocks last waits.
        daemon::open_files::raise_limit(2 * self.max_clients as u64 + RESERVED);
        let possible = daemon::open_files::room_for(self.max_clients, RESERVED);
        if possible < self.max_clients {
            tracing::warn!(
                maxclients = possible,
                asked = self.max_clients,
                "the limit of open files is too low"
            );
            self.max_clients = possible;
        }
    }
}

/// What a setting says, or `None` and a mistake more.
fn noted<T>(name: &str, said: Result<T, impl Display>, mistakes: &mut Vec<String>) -> Option<T> {
    said.map_err(|error| mistakes.push(format!("--{name}: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_told() {
        let flags =
            ["--hold-timeout", "0s", "--node-timeout", "0s", "--proxy-id", "a b", "--api-token", "two words"];
        let flags = [&flags[..], &["--maxmemory-clients", "1kb"]].concat();
        let error = Config::from_settings(&PROGRAM.from_flags(&flags).unwrap()).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 5, "{error}");
        assert_eq!(lines[..2], ["--hold-timeout must be more than 0", "--node-timeout must be more than 0"]);
        assert!(lines[3].starts_with("--proxy-id: ") && lines[4].starts_with("--api-token: "), "{error}");
    }

    #[test]
    fn all_clients_together_may_have_something() {
        let read = |flags: &[&str]| Config::from_settings(&PROGRAM.from_flags(flags).unwrap()).is_ok();
        assert!(
            read(&["--maxmemory-clients", "0"]) && read(&["--maxmemory-clients", "2mb", "--workers", "2"])
        );
        assert!(!read(&["--maxmemory-clients", "2mb", "--workers", "3"]));
    }

    #[test]
    fn the_admin_port_is_where_clients_connect_unless_it_is_said() {
        let admin_host =
            |flags: &[&str]| Config::from_settings(&PROGRAM.from_flags(flags).unwrap()).unwrap().admin_host;
        assert_eq!(admin_host(&["--host", "0.0.0.0"]), "0.0.0.0");
        assert_eq!(admin_host(&["--host", "0.0.0.0", "--admin-host", "::1"]), "::1");
    }

    #[test]
    fn no_secret_is_shown() {
        let flags =
            ["requirepass", "node-password", "api-token"].map(|name| [format!("--{name}"), "hunter2".into()]);
        let flags: Vec<_> = flags.iter().flatten().map(String::as_str).collect();
        let config = Config::from_settings(&PROGRAM.from_flags(&flags).unwrap()).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("password: Some(***)") && !shown.contains("hunter2"), "{shown}");
    }
}
