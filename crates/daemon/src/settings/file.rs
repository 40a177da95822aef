//! The layer of the TOML file: flat keys named like the settings, each with the line it stands in.

use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;
use super::{Program, Setting, secret_file};

/// A configuration file larger than this is a wrong path; the largest honest one has some kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What one line of the file gives.
#[derive(Debug)]
pub(super) struct FileValue {
    pub(super) setting: &'static Setting,
    pub(super) raw: String,
    pub(super) line: usize,
}

/// Reads the file; what cannot be read or is unknown becomes a mistake. `named_by` is the flag or variable
/// that names the file.
pub(super) fn read(
    program: &Program,
    path: &str,
    named_by: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<FileValue> {
    match read_text(path) {
        Ok(text) => parse(program, path, &text, mistakes),
        Err(problem) => {
            mistakes.push(Mistake::new(named_by, format!("cannot read {path}: {problem}")));
            Vec::new()
        }
    }
}

fn read_text(path: &str) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!(
            "it has {size} bytes, more than a configuration file may have ({MAX_FILE_BYTES})"
        ));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn parse(program: &Program, path: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Vec<FileValue> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What a parser recovers from a broken file is guesswork; its keys would be reported wrongly.
        mistakes.extend(syntax_mistakes(path, text, &errors));
        return Vec::new();
    }
    let mut values: Vec<FileValue> = Vec::new();
    // As written, not by name: of a key given twice, the second is the mistake.
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in keys {
        let line = line_of(text, key.span().start);
        let found = entry(program, path, key.get_ref(), value.get_ref(), line);
        match found.and_then(|value| only_once(value, &values, path)) {
            Ok(value) => values.push(value),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    values
}

/// One per line: after the first error in a line the parser stumbles over the rest of it.
fn syntax_mistakes(path: &str, text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let located = |error: &toml::de::Error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        (line, error.message().replace('\n', ", "))
    };
    let mut located: Vec<(usize, String)> = errors.iter().map(located).collect();
    located.dedup_by_key(|(line, _)| *line);
    let mistake = |(line, message)| Mistake::in_file(path, line, message);
    located.into_iter().map(mistake).collect()
}

fn entry(
    program: &Program,
    path: &str,
    key: &str,
    value: &DeValue<'_>,
    line: usize,
) -> Result<FileValue, Mistake> {
    let name = key.replace('_', "-");
    let is_meant = |setting: &&Setting| setting.name == name || secret_file::is_named(setting, &name);
    let Some(setting) = program.all_settings().find(is_meant) else {
        let known = program.all_settings().map(|setting| setting.name);
        return Err(Mistake::unknown(format!("{path}:{line}"), "key", key, known).at_line(line));
    };
    let expected = || Mistake::in_file(path, line, format!("`{key}`: expected {}", setting.kind.expected()));
    let mut raw = scalar(value).ok_or_else(expected)?;
    if setting.name != name {
        raw = secret_file::read(&raw)
            .map_err(|problem| Mistake::in_file(path, line, format!("`{key}`: {problem}")))?;
    }
    Ok(FileValue { setting, raw, line })
}

/// `max-clients` and `max_clients` are one key, a secret and its file are one value.
fn only_once(value: FileValue, others: &[FileValue], path: &str) -> Result<FileValue, Mistake> {
    match others.iter().find(|other| std::ptr::eq(other.setting, value.setting)) {
        None => Ok(value),
        Some(other) => {
            let problem = format!("`{}` is already set in line {}", value.setting.name, other.line);
            Err(Mistake::in_file(path, value.line, problem))
        }
    }
}

/// The value as a user would write it on the command line; a list becomes its elements with commas.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| scalar(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Lines count from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
