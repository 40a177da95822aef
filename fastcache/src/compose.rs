//! `fastcache compose` and `fastcache haproxy-config`: the container setup for any number of nodes.
//!
//! The committed `docker-compose.yml` and `haproxy/haproxy.cfg` are what these print for the standard 50
//! nodes and 5 proxies, and `haproxy/small.cfg` is for the 2 proxies of the profile `small`. The file keeps to
//! what both Compose 1.29.2 and today's Compose accept.

mod cluster;

use std::ffi::OsString;
use std::process::ExitCode;

use daemon::{Invocation, Kind, Program, Setting, Settings};

use crate::haproxy_config::HaproxyConfig;
use crate::layout::{MAX_NODES, MAX_PROXIES, STANDARD_NODES, STANDARD_PROXIES};
use cluster::Cluster;

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

/// The profile `small`: enough to see a node fail and a proxy drain.
const SMALL_NODES: u64 = 3;
pub(crate) const SMALL_PROXIES: u64 = 2;

/// The text of `docker-compose.yml`.
fn compose_file(nodes: u64, proxies: u64) -> String {
    let main = Cluster { is_small: false, nodes, proxies };
    let small = Cluster { is_small: true, nodes: SMALL_NODES, proxies: SMALL_PROXIES };
    TEMPLATE
        .replace("{node_count}", &nodes.to_string())
        .replace("{proxy_count}", &proxies.to_string())
        .replace("{members}", &main.members())
        .replace("{proxy_dependencies}", &main.proxy_dependencies())
        .replace("{node_dependencies}", &main.node_dependencies())
        .replace("{services}", &main.services())
        .replace("{proxy_volumes}", &main.proxy_volumes())
        .replace("{small_members}", &small.members())
        .replace("{small_proxy_dependencies}", &small.proxy_dependencies())
        .replace("{small_node_dependencies}", &small.node_dependencies())
        .replace("{small_services}", &small.services())
        .replace("{small_proxy_volumes}", &small.proxy_volumes())
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

    /// The variables of a text with their defaults: `${NAME:-default}`.
    fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
        text.split("${").skip(1).filter_map(|rest| rest.split('}').next()?.split_once(":-"))
    }

    #[test]
    fn the_example_environment_tells_every_variable_and_its_default_and_no_other() {
        let example: Vec<&str> = include_str!("../../.env.example").lines().collect();
        let text = compose_file(50, 5);
        for (name, default) in variables(&text) {
            let line = format!("{name}={default}");
            assert!(example.contains(&line.as_str()), "{line} is missing in .env.example");
        }
        // Compose itself reads the name of the project.
        let settings = example.iter().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in settings.filter(|line| !line.starts_with("COMPOSE_PROJECT_NAME=")) {
            let name = line.split('=').next().unwrap();
            assert!(variables(&text).any(|(used, _)| used == name), "nothing uses {name} of .env.example");
        }
    }

    /// Other defaults than the processes have: a limit of memory stands behind the first three (for the longest value,
    /// the nodes': a proxy passes it on without holding it), and a load balancer in front of a proxy that drains.
    const THE_CONTAINERS_OWN: [&str; 4] =
        ["PROTO_MAX_BULK_LEN", "CLIENT_OUTPUT_BUFFER_LIMIT", "MAXMEMORY_CLIENTS", "LAME_DUCK"];

    /// What the file tells a process is something the process can be told, and the defaults are its own.
    #[test]
    fn every_process_knows_its_variables_and_has_the_same_defaults() {
        let text = compose_file(50, 5);
        for (anchor, program) in [
            ("node", &cache_node::PROGRAM),
            ("proxy", &cache_proxy::PROGRAM),
            ("health", &health_service::PROGRAM),
        ] {
            let head = format!("x-{anchor}-environment: &{anchor}-environment\n");
            let block = text.split(&head).nth(1).unwrap().split("\n\n").next().unwrap();
            let pairs = block.lines().filter_map(|line| line.trim().split_once(": "));
            let mut known = 0;
            for (name, value) in pairs.filter(|(name, _)| *name != "<<" && !name.starts_with('#')) {
                let setting = program.all_settings().find(|setting| setting.env == Some(name));
                let setting = setting.unwrap_or_else(|| panic!("{} does not know {name}", program.name));
                let default =
                    variables(value).next().map(|(_, default)| default).filter(|text| !text.is_empty());
                if let Some(default) = default.filter(|_| !THE_CONTAINERS_OWN.contains(&name)) {
                    assert_eq!(Some(default), setting.default, "{name}");
                }
                known += 1;
            }
            assert!(known > 3, "{anchor}: {block}");
        }
    }

    #[test]
    fn every_node_and_proxy_is_a_service_with_its_port() {
        let text = compose_file(4, 3);
        for (service, port) in [
            ("node1", "${NODE_PORT_PREFIX:-70}01"),
            ("node4", "${NODE_PORT_PREFIX:-70}04"),
            ("proxy1", "${PROXY_PORT_PREFIX:-63}82"),
            ("proxy3", "${PROXY_PORT_PREFIX:-63}84"),
        ] {
            assert!(text.contains(&format!("\n  fastcache-{service}:\n")), "{service}");
            assert!(text.contains(&format!(":{port}:6379\"")), "{port}");
        }
        assert!(!text.contains("node5") && !text.contains("proxy4"), "{text}");
        assert_eq!(text.matches("      fastcache-node").count(), 4);
        assert_eq!(text.matches("      fastcache-proxy").count(), 3);
    }

    #[test]
    fn ports_that_a_variable_cannot_tell_are_fixed() {
        let text = compose_file(120, 5);
        assert!(text.contains("}:7001:6379") && text.contains("}:7120:6379"), "{text}");
        assert!(text.contains("${PROXY_PORT_PREFIX:-63}86:6379"), "{text}");
    }

    #[test]
    fn the_image_is_built_once_and_nothing_is_left_to_fill_in() {
        let text = compose_file(50, 5);
        // The small cluster is of a profile, and so starts without the other one's first node.
        assert_eq!(text.matches("    build: ").count(), 2);
        let (main, small) = text.split_once("\n  small:\n").unwrap();
        let first_node = main.split("\n  fastcache-node1:").nth(1).unwrap();
        assert!(first_node.split("\n  fastcache-node2:").next().unwrap().contains("    build: "));
        assert!(small.contains("profiles: [small]\n    build: "), "{small}");
        let placeholders = TEMPLATE.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let names = placeholders.map(|(name, _)| name).filter(|name| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        });
        let mut filled = 0;
        for name in names {
            assert!(!text.contains(&format!("{{{name}}}")), "{name}");
            filled += 1;
        }
        assert!(filled > 5);
    }

    #[test]
    fn the_image_is_labelled_with_this_version() {
        let label = concat!("org.opencontainers.image.version=\"", env!("CARGO_PKG_VERSION"), "\"");
        assert!(include_str!("../../Dockerfile").contains(label), "the Dockerfile has no {label}");
    }
}
