//! Finds the git revision for `--version`: `FASTCACHE_GIT_REV` if set (a container build has no `.git`),
//! else git, else `unknown`.
//!
//! Only release builds ask git: with it every commit rebuilds whatever depends on this crate, which is
//! everything, and a developer's build is not one to identify later.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FASTCACHE_GIT_REV");
    let given = std::env::var("FASTCACHE_GIT_REV").ok().filter(|revision| !revision.is_empty());
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = match given {
        Some(revision) => revision,
        None if is_release => git_revision().unwrap_or_else(|| "unknown".into()),
        None => "development".into(),
    };
    println!("cargo:rustc-env=FASTCACHE_REVISION={revision}");
}

fn git_revision() -> Option<String> {
    // The log of HEAD grows with each commit and checkout. Naming a file that is not there would run
    // this script in every build.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
