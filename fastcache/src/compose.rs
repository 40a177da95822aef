//! `fastcache compose` and `fastcache haproxy-config`: the container setup for any number of nodes.
//!
//! The committed `docker-compose.yml` and `haproxy/haproxy.cfg` are what these print for the standard 50
//! nodes and 5 proxies. The file keeps to what both Compose 1.29.2 and today's Compose accept.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use daemon::{Invocation, Kind, Program, Setting, Settings};

use crate::haproxy_config::HaproxyConfig;
use crate::layout::{MAX_NODES, MAX_PROXIES, STANDARD_NODES, STANDARD_PROXIES};

const NODES: Setting = Setting {
    name: "nodes",
    env: None,
    default: Some(STANDARD_NODES),
    kind: Kind::Count { min: 1, max: MAX_NODES },
    help: "How many cache nodes",
};
const PROXIES: Setting = Setting {
    name: "proxies",
    env: None,
    default: Some(STANDARD_PROXIES),
    kind: Kind::Count { min: 1, max: MAX_PROXIES },
    help: "How many proxies",
};

static COMPOSE: Program = Program {
    name: "fastcache compose",
    about: "Print a docker-compose.yml for a cluster of this size",
    settings: &[NODES, PROXIES],
};
static HAPROXY: Program = Program {
    name: "fastcache haproxy-config",
    about: "Print the haproxy.cfg for the container setup",
    settings: &[PROXIES],
};

/// Runs `fastcache compose`.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    printing(&COMPOSE, args, |settings| compose_file(settings.count("nodes"), settings.count("proxies")))
}

/// Runs `fastcache haproxy-config`.
pub(crate) fn haproxy_main(args: &[OsString]) -> ExitCode {
    printing(&HAPROXY, args, |settings| HaproxyConfig::for_containers(settings.count("proxies")).render())
}

fn printing(
    program: &'static Program,
    args: &[OsString],
    text: impl FnOnce(&Settings) -> String,
) -> ExitCode {
    match program.read(args, |name| std::env::var_os(name)) {
        Ok(Invocation::Run(settings)) => daemon::print(&text(&settings)),
        Ok(Invocation::Print(text)) => daemon::print(&text),
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(2)
        }
    }
}

const TEMPLATE: &str = include_str!("../templates/docker-compose.yml");

/// The standard ports on the host; inside its container every process listens on 6379.
const FIRST_NODE_PORT: u64 = 7001;
const FIRST_PROXY_PORT: u64 = 6382;

/// The text of `docker-compose.yml`.
fn compose_file(nodes: u64, proxies: u64) -> String {
    let proxy_services = (1..=proxies).map(|number| {
        let service = service("proxy", "PROXY_ID", number, FIRST_PROXY_PORT);
        format!("{service}    volumes: [\"proxy{number}-state:/var/lib/fastcache\"]\n")
    });
    let node_services = (1..=nodes).map(|number| service("node", "NODE_ID", number, FIRST_NODE_PORT));
    let proxy_volumes = (1..=proxies).map(|number| format!("  proxy{number}-state: {{}}\n"));
    TEMPLATE
        .replace("{proxy_dependencies}", &dependencies(proxies, "fastcache-proxy", "service_healthy"))
        .replace("{node_dependencies}", &dependencies(nodes, "fastcache-node", "service_started"))
        .replace("{node_count}", &nodes.to_string())
        .replace("{nodes}", &members(nodes, "node"))
        .replace("{proxies}", &members(proxies, "proxy"))
        .replace("{services}", &proxy_services.chain(node_services).collect::<String>())
        .replace("{proxy_volumes}", &proxy_volumes.collect::<String>())
}

fn service(kind: &str, variable: &str, number: u64, first_port: u64) -> String {
    let port = first_port + number - 1;
    format!(
        "\n  fastcache-{kind}{number}:\n    \
           <<: *{kind}\n    \
           environment:\n      \
             <<: *{kind}-environment\n      \
             {variable}: {kind}{number}\n    \
           ports: [\"${{BIND_ADDRESS:-127.0.0.1}}:{port}:6379\"]\n"
    )
}

/// `node1=fastcache-node1:6379,…`, one per line of a YAML string whose line ends are escaped.
fn members(count: u64, kind: &str) -> String {
    let member = |number| format!("        {kind}{number}=fastcache-{kind}{number}:6379");
    (1..=count).map(member).collect::<Vec<_>>().join(",\\\n")
}

fn dependencies(count: u64, prefix: &str, condition: &str) -> String {
    let mut text = String::new();
    for number in 1..=count {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "      {prefix}{number}: {{condition: {condition}}}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_what_the_generator_makes() {
        let committed = include_str!("../../docker-compose.yml");
        assert_eq!(
            committed,
            compose_file(50, 5),
            "write it again with `fastcache compose > docker-compose.yml`"
        );
    }

    #[test]
    fn the_example_environment_tells_every_variable_and_its_default() {
        let example = include_str!("../../.env.example");
        let text = compose_file(1, 1);
        let variables = text.split("${").skip(1).filter_map(|rest| rest.split('}').next()?.split_once(":-"));
        for (name, default) in variables {
            let line = format!("{name}={default}");
            assert!(example.lines().any(|candidate| candidate == line), "{line} is missing in .env.example");
        }
    }

    #[test]
    fn every_node_and_proxy_is_a_service_with_its_port() {
        let text = compose_file(3, 2);
        for (service, port) in [("node1", 7001), ("node3", 7003), ("proxy1", 6382), ("proxy2", 6383)] {
            assert!(text.contains(&format!("\n  fastcache-{service}:\n")), "{service}");
            assert!(text.contains(&format!(":{port}:6379\"")), "{port}");
        }
        assert!(!text.contains("node4"), "{text}");
        assert_eq!(text.matches("condition: service_started").count(), 3);
        assert_eq!(text.matches("condition: service_healthy").count(), 2 + 1);
        // What is left in braces is YAML's, Compose's or Bash's, not this generator's.
        for name in [
            "{nodes}",
            "{proxies}",
            "{node_dependencies}",
            "{proxy_dependencies}",
            "{node_count}",
            "{services}",
        ] {
            assert!(!text.contains(name), "{name}");
        }
    }
}
