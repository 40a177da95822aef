//! The program `cache-node`.

fn main() -> std::process::ExitCode {
    cache_node::main(std::env::args_os().skip(1))
}
