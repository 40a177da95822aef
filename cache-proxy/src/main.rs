//! The `cache-proxy` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cache_proxy::main(std::env::args_os().skip(1))
}
