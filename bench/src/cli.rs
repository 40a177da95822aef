//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures FastCache and its peers side by side.
#[derive(Debug, Parser)]
#[command(name = "bench", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Measure proxies and nodes
    All(Options),
    /// Measure cache-proxy beside twemproxy, Envoy, HAProxy in TCP mode, and no proxy
    Proxies(Options),
    /// Measure cache-node beside redis-server and valkey-server
    Nodes(Options),
    /// Write the report and README.md's table again, from the record of a run
    Report {
        /// The record: bench/results/DATE.json
        file: PathBuf,
        /// The file whose table between the markers is replaced
        #[arg(long, default_value = "README.md")]
        readme: PathBuf,
    },
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only prove that everything works: at most three minutes, numbers of no value
    #[arg(long)]
    pub quick: bool,
    /// Where the record and the report go [default: bench/results; with --quick target/bench]
    #[arg(long, value_name = "DIRECTORY")]
    pub results: Option<PathBuf>,
}

impl Options {
    /// A quick run proves something about the harness and must not look like a result.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        let default = if self.quick { "target/bench" } else { "bench/results" };
        self.results.clone().unwrap_or_else(|| PathBuf::from(default))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["bench", "all", "--quick"]);
        let Task::All(options) = cli.task else { panic!("{cli:?}") };
        assert_eq!(options.results(), PathBuf::from("target/bench"));
    }
}
