//! The tables for a terminal.

use std::fmt::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::group::{Group, groups, lack_in_words};
use super::number::median_and_range;
use crate::record::Record;
use crate::results::Row;

/// All tables of a record, with the reasons of what is missing below each.
#[must_use]
pub fn all(record: &Record) -> String {
    let mut text = String::new();
    for group in groups(record) {
        let _ = writeln!(text, "\n{}: {}\n{}", group.suite, group.name, table(&group));
        for reason in reasons(&group) {
            let _ = writeln!(text, "  {reason}");
        }
    }
    text
}

fn table(group: &Group<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    let columns = ["", ""].into_iter().chain(group.subjects.iter().copied());
    table.set_header(columns);
    let mut previous = "";
    for line in &group.lines {
        let scenario = if line.scenario == previous { "" } else { line.scenario };
        previous = line.scenario;
        let cells = line.cells.iter().map(|cell| cell.map_or(String::new(), cell_text));
        table.add_row([scenario.to_owned(), line.measure()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cell_text(row: &Row) -> String {
    match (&row.lack, row.summary()) {
        (Some(lack), _) => lack_in_words(lack).0.to_owned(),
        (None, Some(summary)) => median_and_range(summary, row.samples.len()),
        (None, None) => "MISSING".to_owned(),
    }
}

/// Who, and why there is no number or what to know about it; each once.
#[must_use]
pub fn reasons(group: &Group<'_>) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for row in group.lines.iter().flat_map(super::group::Line::rows) {
        let lack = row.lack.as_ref().map(lack_in_words);
        let lack = lack.map(|(word, reason)| format!("{}: {}: {word}: {reason}", row.subject, row.scenario));
        let notes = row.notes.iter().map(|note| format!("{}: {}: {note}", row.subject, row.scenario));
        for reason in lack.into_iter().chain(notes) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::group::tests::example;

    #[test]
    fn numbers_reasons_and_notes_are_all_there() {
        let text = all(&example());
        for part in [
            "proxies: depth 1",
            "11.0 (10.0–12.0)",
            "Envoy: GET: the generator was busy",
            "twemproxy: GET: not there: get it: apt install nutcracker",
            "FastCache: SET: failed: it closed the connection",
            "Envoy: SET: wrong values: gave b for a",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text.matches("FastCache: SET: failed").count(), 1, "{text}");
    }
}
