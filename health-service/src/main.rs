//! The `health-service` process.

use std::process::ExitCode;

fn main() -> ExitCode {
    health_service::main(std::env::args_os().skip(1))
}
