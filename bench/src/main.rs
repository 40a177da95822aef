//! `bench`: measures FastCache and its peers side by side.

use std::process::ExitCode;

use bench::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    match bench::run::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
