//! The programs under test, built once per run of the tests.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// The `fastcache` binary: every process of the cluster is one of its subcommands.
/// `None` when it does not build; cargo has then said why.
static FASTCACHE: LazyLock<Option<PathBuf>> = LazyLock::new(build);

/// A command line of `fastcache` in a clean environment: a developer's settings must not change a test.
pub(crate) fn fastcache(args: &[&str]) -> Command {
    let binary = FASTCACHE.as_ref().expect("the binary under test builds");
    let mut command = Command::new(binary);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).args(args);
    command
}

/// Cargo does not build other packages' binaries for a test, so this does, with the same profile and into
/// the same directory: this very program is `TARGET/PROFILE/deps/tests-…`.
fn build() -> Option<PathBuf> {
    let this = env::current_exe().expect("the path of this test");
    let [_, _, profile, target] = *this.ancestors().take(4).collect::<Vec<_>>() else {
        panic!("{} is not in a target directory", this.display());
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "fastcache", "--bins", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    status.success().then(|| profile.join("fastcache"))
}
