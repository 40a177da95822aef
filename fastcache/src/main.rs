//! The `fastcache` command: runs and inspects a whole cluster.
//!
//! One binary holds everything: the three services as subcommands (each is also a binary of its own),
//! `up` that runs a cluster of them, and what an operator asks a running one. This file only says which
//! subcommand is which.

mod compose;
mod explain;
mod guarded;
mod haproxy_config;
mod healthcheck;
mod layout;
mod monitoring;
mod status;
mod up;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

/// A subcommand: its name, its line in the help, and what runs it.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(&[OsString]) -> ExitCode,
}

static VERBS: [Verb; 10] = [
    Verb { name: "up", about: "Run a whole cluster on this host", run: up::main },
    Verb { name: "status", about: "Show a running cluster as a table or as JSON", run: status::main },
    Verb { name: "explain", about: "Show which node serves a key, and why", run: explain::main },
    Verb {
        name: "healthcheck",
        about: "Ask one process whether it is well (for containers)",
        run: healthcheck::main,
    },
    Verb { name: "compose", about: "Print a docker-compose.yml", run: compose::main },
    Verb {
        name: "haproxy-config",
        about: "Print the haproxy.cfg that belongs to it",
        run: compose::haproxy_main,
    },
    Verb {
        name: "monitoring",
        about: "Write the configuration of Prometheus and Grafana that belongs to it",
        run: monitoring::main,
    },
    Verb { name: "cache-node", about: "Run one cache node", run: |args| cache_node::main(args.to_vec()) },
    Verb { name: "cache-proxy", about: "Run one proxy", run: |args| cache_proxy::main(args.to_vec()) },
    Verb {
        name: "health-service",
        about: "Run the health service",
        run: |args| health_service::main(args.to_vec()),
    },
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.split_first() {
        Some((verb, rest)) => run(verb.to_str().unwrap_or_default(), rest),
        None => refuse("which subcommand?"),
    }
}

fn run(verb: &str, args: &[OsString]) -> ExitCode {
    match verb {
        "--help" | "-h" | "help" => daemon::print(&help()),
        "--version" | "-V" => daemon::print(&format!("fastcache {}", daemon::version())),
        guarded::VERB => guarded::main(args, run),
        _ => match VERBS.iter().find(|candidate| candidate.name == verb) {
            Some(verb) => (verb.run)(args),
            None => refuse(&format!("there is no subcommand `{verb}`")),
        },
    }
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("fastcache: {problem}\n\n{}", help());
    ExitCode::from(2)
}

fn help() -> String {
    let width = VERBS.iter().map(|verb| verb.name.len()).max().unwrap_or(0);
    let lines = VERBS.iter().map(|verb| format!("  {:width$}  {}\n", verb.name, verb.about));
    format!(
        "A Redis-protocol cache tier: many nodes that look like one Redis\n\n\
         Usage: fastcache SUBCOMMAND [OPTIONS]\n\n\
         {}\n\
         `fastcache SUBCOMMAND --help` tells more about each.\n",
        lines.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_subcommand_and_the_guarded_programs_exist() {
        let help = help();
        for verb in &VERBS {
            assert!(help.contains(&format!("  {} ", verb.name)), "{}", verb.name);
        }
        for program in guarded::OWN_PROGRAMS {
            assert!(VERBS.iter().any(|verb| verb.name == program), "{program}");
        }
    }
}
