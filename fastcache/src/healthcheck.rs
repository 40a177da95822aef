//! `fastcache healthcheck URL|HOST:PORT`: one question, for a container's health check.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use crate::wire::{http_get, ping};

/// A process that takes longer to answer PING is not well. Shorter than a container's own timeout, so
/// that the reason is printed.
const PATIENCE: Duration = Duration::from_secs(2);

const USAGE: &str = "\
Ask a process whether it is well; exit 0 if so, else 1

Usage: fastcache healthcheck URL|HOST:PORT

  URL        http://HOST[:PORT]/PATH: it must answer 200
  HOST:PORT  it must answer PING with PONG, or ask for its password
";

/// Runs the command.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    match args {
        [flag] if flag == "--help" || flag == "-h" => daemon::print(USAGE),
        [target] => match check(&target.to_string_lossy()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("fastcache healthcheck: {problem}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("fastcache healthcheck: expected one argument\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn check(target: &str) -> Result<(), String> {
    if !target.starts_with("http://") {
        if target.contains("://") {
            return Err(format!("{target}: only http:// is spoken here"));
        }
        return ping(target, PATIENCE).map_err(|error| error.to_string());
    }
    let answer = http_get(target, PATIENCE).map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(()),
        status => Err(format!("{target} answered status {status}")),
    }
}
