//! The string literals of Rust sources, as far as a check of texts needs them.
//!
//! A lexer for strings, comments and characters, and nothing else: it exists because a comment may hold a quote.
//! Placeholders become `…` and escaped line ends go, so that a literal reads as what a user sees. What stands
//! in test modules is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands for a part that varies, here and in the documents.
pub(crate) const VARIES: char = '…';

/// All literals in the sources below a directory, test modules left out.
pub(crate) fn below(directory: &Path) -> Vec<String> {
    let sources = sources(directory);
    let of_tests: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, source)| source.split("#[cfg(test)]\nmod ").skip(1))
        .filter_map(name)
        .collect();
    let is_test = |path: &Path| {
        let below = path.strip_prefix(directory).unwrap_or(path).with_extension("");
        below.iter().any(|part| part.to_str().is_some_and(|part| of_tests.contains(part)))
    };
    sources.iter().filter(|(path, _)| !is_test(path)).flat_map(|(_, source)| of(source)).collect()
}

/// The name of a module that has a file of its own.
fn name(declared: &str) -> Option<&str> {
    let (name, _) = declared.split_once(';')?;
    name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()).then_some(name)
}

/// The text of a file that must be there.
pub(crate) fn text_of(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for path in entries.map(|entry| entry.expect("the directory can be read").path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = text_of(&path);
            found.push((path, source));
        }
    }
    found
}

/// The literals of one source, up to its test module.
pub(crate) fn of(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source);
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(after) = from.strip_prefix('\'') {
            after_character(after)
        } else if let Some(after) = from.strip_prefix('"') {
            let (literal, after) = string(before, after);
            found.push(shown(&literal));
            after
        } else {
            &from[1..]
        };
    }
    found
}

/// What follows a quote that begins a character, or a lifetime.
fn after_character(after: &str) -> &str {
    let escaped = after.starts_with('\\');
    let content: usize = after.chars().take(if escaped { 2 } else { 1 }).map(char::len_utf8).sum();
    after.get(content..).and_then(|rest| rest.strip_prefix('\'')).unwrap_or(after)
}

/// The string that begins after `before`'s quote, as written but for its escapes, and what follows it.
fn string<'a>(before: &str, after: &'a str) -> (String, &'a str) {
    let hashes = before.len() - before.trim_end_matches('#').len();
    if before.trim_end_matches('#').ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        let (literal, rest) = after.split_once(&end).unwrap_or((after, ""));
        return (literal.to_owned(), rest);
    }
    let mut literal = String::new();
    let mut chars = after.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (literal, &after[at + 1..]),
            '\\' => match chars.next() {
                // A line that goes on: the blanks in front of it do not count.
                Some((_, '\n')) => literal.push('\n'),
                Some((_, 'n' | 'r' | 't')) => literal.push(' '),
                Some((_, other)) => literal.push(other),
                None => break,
            },
            other => literal.push(other),
        }
    }
    (literal, "")
}

/// The literal as it is seen: `{name}` varies, `{{` is a brace.
fn shown(literal: &str) -> String {
    let joined: String = literal
        .split('\n')
        .enumerate()
        .map(|(i, line)| if i == 0 { line } else { line.trim_start() })
        .collect();
    let mut text = String::new();
    let mut chars = joined.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.peek() != Some(&'{') => {
                while chars.next().is_some_and(|c| c != '}') {}
                text.push(VARIES);
            }
            '{' | '}' => {
                chars.next();
                text.push(c);
            }
            other => text.push(other),
        }
    }
    text.trim().to_owned()
}

#[test]
fn literals_are_read_as_they_are_seen() {
    let source = r##"
        // "no literal"
        let a = "one {name} of {{tag}}, \"quoted\""; let b: &'static str = "two \
            lines"; let c = '"'; let d = r#"raw "text""#; let e = b"-ERR full\r\n"; let f = '\'';
#[cfg(test)]
mod tests { const T: &str = "a test"; }"##;
    let expected = ["one … of {tag}, \"quoted\"", "two lines", "raw \"text\"", "-ERR full"];
    assert_eq!(of(source), expected);
}
