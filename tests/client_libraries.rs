//! The client libraries that applications use, in their default settings: today that means `HELLO 3`.
//!
//! `FASTCACHE_TEST_PYTHON` names an interpreter that has redis-py, `FASTCACHE_TEST_NODE_MODULES` a directory
//! that holds ioredis; without them the libraries are installed below the target directory, once.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::up::Up;

const REDIS_PY: &str = "redis==8.1.0";
const IOREDIS: &str = "ioredis@6.0.0";

#[test]
fn redis_py_works_in_its_default_settings() {
    let up = Up::start("shared");
    let mut python = match env::var_os("FASTCACHE_TEST_PYTHON") {
        Some(interpreter) => Command::new(interpreter),
        None => {
            // Both steps in one command: an environment without the library must not be taken for complete.
            let environment = installed("venv", |directory| {
                let mut shell = Command::new("sh");
                shell.args(["-ec", "python3 -m venv \"$1\" && \"$1/bin/pip\" install --quiet \"$2\"", "sh"]);
                shell.arg(directory).arg(REDIS_PY);
                shell
            });
            Command::new(environment.join("bin/python"))
        }
    };
    succeeds(python.arg(script("check.py")).arg(up.ports.entry.to_string()));
}

#[test]
fn ioredis_works_in_its_default_settings() {
    let up = Up::start("shared");
    let modules = env::var_os("FASTCACHE_TEST_NODE_MODULES").map(PathBuf::from).unwrap_or_else(|| {
        let directory = installed("node", |directory| {
            let mut npm = Command::new("npm");
            npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(directory)
                .arg(IOREDIS);
            npm
        });
        directory.join("node_modules")
    });
    let mut node = Command::new("node");
    succeeds(node.env("NODE_PATH", modules).arg(script("check.js")).arg(up.ports.entry.to_string()));
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// The directory that a package manager has filled, in this run or an earlier one.
fn installed(name: &str, install: impl Fn(&PathBuf) -> Command) -> PathBuf {
    let this = env::current_exe().expect("the path of this test");
    let target = this.ancestors().nth(3).expect("this test is in a target directory");
    let directory = target.join("client-libraries").join(name);
    let complete = directory.join("complete");
    if !complete.exists() {
        fs::create_dir_all(&directory).expect("the target directory is writable");
        succeeds(&mut install(&directory));
        fs::write(complete, "").expect("the target directory is writable");
    }
    directory
}

fn succeeds(command: &mut Command) {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{shown}: {}\n{}", output.status, String::from_utf8_lossy(&text));
}
