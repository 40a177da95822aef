//! `fastcache monitoring`: what Prometheus and Grafana need to watch a cluster of any size.
//!
//! The committed folder `monitoring/` is what this writes for the standard cluster in containers. Rules and
//! dashboards are data in the modules below; nothing here knows the formats in which they are written.

mod dashboard;
mod dashboards;
mod panel;
mod rule;
mod rules;
mod scrape;
mod unit_tests;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use daemon::{Invocation, Kind, Program, Setting};

use crate::layout::{MAX_PROXIES, STANDARD_PROXIES};
use scrape::Place;

static MONITORING: Program = Program {
    name: "fastcache monitoring",
    about: "Write the configuration of Prometheus and Grafana for a cluster: scrape targets, alert rules with \
            their tests, dashboards",
    settings: &[
        Setting::new(
            "proxies",
            None,
            Some(STANDARD_PROXIES),
            Kind::Count { min: 1, max: MAX_PROXIES },
            "How many proxies",
        ),
        Setting::new(
            "place",
            None,
            Some("containers"),
            Kind::Choice(&["containers", "host"]),
            "Where the cluster runs: as docker-compose.yml starts it, or on this host by `fastcache up`",
        ),
        Setting::new("dir", None, Some("monitoring"), Kind::Path, "Directory to write to"),
    ],
};

/// A file of the configuration: its path below the directory, and its text.
#[derive(Debug)]
struct File {
    path: String,
    text: String,
}

/// Runs `fastcache monitoring`.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let settings = match MONITORING.read(args, |name| std::env::var_os(name)) {
        Ok(Invocation::Run(settings)) => settings,
        Ok(Invocation::Print(text)) => return daemon::print(&text),
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(2);
        }
    };
    let place = if settings.text("place") == "host" { Place::Host } else { Place::Containers };
    let directory = settings.path("dir");
    let files = files(settings.count("proxies"), place);
    match files.iter().try_for_each(|file| write(directory, file)) {
        Ok(()) => daemon::print(&format!("{} files written to {}", files.len(), directory.display())),
        Err(error) => {
            eprintln!("fastcache monitoring: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path, file: &File) -> anyhow::Result<()> {
    let path = directory.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))
}

/// Everything there is to write for a cluster with this many proxies.
fn files(proxies: u64, place: Place) -> Vec<File> {
    let file = |path: &str, text: String| File { path: path.to_owned(), text };
    let groups = rules::groups();
    let mut files = vec![
        file("prometheus.yml", scrape::configuration(proxies, place)),
        file("alerts.yml", rule::file(&groups)),
        file("alerts_test.yml", unit_tests::file(&groups)),
        file("grafana/provisioning/datasources/prometheus.yml", scrape::datasource(place)),
        file("grafana/provisioning/dashboards/fastcache.yml", scrape::dashboard_provider()),
    ];
    for dashboard in dashboards::all() {
        files.push(file(&format!("grafana/dashboards/{}.json", dashboard.uid), dashboard.render()));
    }
    files
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn committed() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
    }

    #[test]
    fn the_committed_files_are_what_the_generator_makes() {
        for file in files(5, Place::Containers) {
            let committed = fs::read_to_string(committed().join(&file.path)).unwrap_or_default();
            assert!(
                committed == file.text,
                "monitoring/{} is not what the generator makes: write it again with `fastcache monitoring`",
                file.path
            );
        }
    }

    #[test]
    fn there_is_no_other_file_in_the_committed_folder() {
        let mut found = BTreeSet::new();
        let mut directories = vec![committed()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.insert(path.strip_prefix(committed()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let generated: BTreeSet<_> = files(5, Place::Containers).into_iter().map(|file| file.path).collect();
        assert_eq!(found, generated);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = File { path: "a/b".into(), text: String::new() };
        let error = write(Path::new("/dev/null"), &file).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot make /dev/null/a: "), "{error:#}");
    }
}
