//! The report of a run: tables for a terminal, Markdown with plots for a browser, one table for README.md.
//!
//! All of it follows from the record alone, so it can be made again from any record that was kept.

pub mod group;
pub mod markdown;
pub mod number;
pub mod plot;
pub mod readme;
pub mod table;

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::record::Record;
use group::{Group, groups};

/// Writes the Markdown report beside the record in `file`, and its plots into a directory of the same name.
///
/// # Errors
/// When a file cannot be written.
pub fn write(record: &Record, file: &Path) -> anyhow::Result<()> {
    let directory = file.with_extension("");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for group in groups(record) {
        write_file(&directory.join(plot_name(&group)), &plot::svg(&group)?)?;
    }
    let beside = directory.file_name().unwrap_or_default().to_string_lossy();
    let text = markdown::report(record, |group| format!("{beside}/{}", plot_name(group)));
    write_file(&file.with_extension("md"), &text)
}

fn write_file(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// `proxies-saturated-depth-1.svg`.
fn plot_name(group: &Group<'_>) -> String {
    let name = format!("{}-{}", group.suite, group.name).to_lowercase();
    let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    format!("{}.svg", words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use group::tests::example;

    #[test]
    fn the_report_links_the_plots_it_writes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("2026-11-20.json");
        write(&example(), &file).unwrap();
        let report = fs::read_to_string(file.with_extension("md")).unwrap();
        let links: Vec<&str> = report
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|link| link.ends_with(".svg"))
            .collect();
        assert_eq!(links, ["2026-11-20/proxies-depth-1.svg"]);
        assert!(fs::read_to_string(directory.path().join(links[0])).unwrap().starts_with("<svg"));
    }
}
