//! `docs/troubleshooting.md` against the sources: what it quotes is what the programs say, every error that the
//! proxy makes is in it, and whatever links into it arrives.
//!
//! Quoted are the code spans of an entry's heading, or of the first column of its table. A comment below the
//! heading, `<!-- source: CRATE … -->`, names whose texts they are: crates of ours, `alert` for the names of
//! alerts, or something foreign that is not checked. `…` stands for what varies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::literals::{self, VARIES};

/// Whose texts are not ours.
const FOREIGN: [&str; 4] = ["client", "docker", "haproxy", "linux"];

/// One `###` of the document.
struct Entry {
    anchor: String,
    heading: String,
    sources: Vec<String>,
    /// All of it, from its heading to the next.
    text: String,
}

impl Entry {
    fn quotes(&self) -> Vec<String> {
        let rows = self.text.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.trim_start_matches('|').split('|').next());
        std::iter::once(self.heading.as_str()).chain(cells).flat_map(code_spans).collect()
    }

    fn is_of(&self, source: &str) -> bool {
        self.sources.iter().any(|known| known == source)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    literals::text_of(&repository().join("docs/troubleshooting.md"))
}

fn entries(document: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for part in document.split("\n<a id=\"").skip(1) {
        let (anchor, rest) = part.split_once('"').expect("an anchor ends");
        let heading = rest.lines().find_map(|line| line.strip_prefix("### "));
        let heading = heading.unwrap_or_else(|| panic!("#{anchor} has no heading")).to_owned();
        let sources = rest.lines().find_map(|line| line.strip_prefix("<!-- source: ")?.strip_suffix(" -->"));
        let sources = sources.unwrap_or_else(|| panic!("#{anchor} does not say whose texts it quotes"));
        let sources = sources.split(' ').map(str::to_owned).collect();
        let text = rest.split("\n## ").next().unwrap_or(rest).to_owned();
        entries.push(Entry { anchor: anchor.to_owned(), heading, sources, text });
    }
    entries
}

/// What stands between backticks, or between double ones where it holds a backtick itself.
fn code_spans(line: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let from = &rest[start..];
        let fence = &from[..from.len() - from.trim_start_matches('`').len()];
        let Some((span, after)) = from[fence.len()..].split_once(fence) else { break };
        spans.push(span.trim().to_owned());
        rest = after;
    }
    spans
}

/// The literals of one crate.
fn literals_of(source: &str) -> Vec<String> {
    let shared = repository().join("crates").join(source).join("src");
    literals::below(&if shared.exists() { shared } else { repository().join(source).join("src") })
}

/// Whether the quoted text is what this literal prints: its parts are in it, in this order.
fn covers(quote: &str, literal: &str) -> bool {
    let mut rest = literal;
    quote.split(VARIES).map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
        true
    })
}

/// The texts that the proxy answers with by itself, and those it passes on from the libraries it shares.
fn replies_of_the_proxy() -> Vec<String> {
    let is_reply = |literal: &String| {
        let (code, text) = literal.trim_start_matches('-').split_once(' ').unwrap_or_default();
        code.len() > 2
            && code.bytes().all(|byte| byte.is_ascii_uppercase())
            && text.contains(|c: char| c.is_ascii_lowercase())
    };
    let texts_in = |file: &str| literals::of(&literals::text_of(&repository().join(file)));
    let mut replies: Vec<String> = literals_of("cache-proxy").into_iter().filter(is_reply).collect();
    replies
        .extend(texts_in("crates/commands/src/key_error.rs").into_iter().filter(|text| text.contains(' ')));
    replies.extend(texts_in("crates/resp/src/error.rs").into_iter().filter(|text| text.contains(' ')));
    replies
}

#[test]
fn what_is_quoted_is_what_the_programs_say() {
    let mut wrong = Vec::new();
    for entry in entries(&document()) {
        let ours: Vec<&String> =
            entry.sources.iter().filter(|s| !FOREIGN.contains(&s.as_str()) && *s != "alert").collect();
        let literals: Vec<String> = ours.iter().flat_map(|source| literals_of(source)).collect();
        let quotes = entry.quotes();
        assert!(!quotes.is_empty(), "#{} quotes nothing", entry.anchor);
        for quote in quotes.iter().filter(|_| !ours.is_empty()) {
            // Less than that is in any text.
            let is_telling = quote.replace(VARIES, "").trim().len() >= 8;
            if !is_telling || !literals.iter().any(|literal| covers(quote, literal)) {
                wrong.push(format!("#{}: `{quote}` in {:?}", entry.anchor, entry.sources));
            }
        }
    }
    assert!(wrong.is_empty(), "no source says\n{}", wrong.join("\n"));
}

#[test]
fn every_error_of_the_proxy_is_explained() {
    let entries = entries(&document());
    let of_proxy =
        entries.iter().filter(|entry| ["cache-proxy", "commands", "resp"].iter().any(|s| entry.is_of(s)));
    let quotes: Vec<String> = of_proxy.flat_map(Entry::quotes).collect();
    let replies = replies_of_the_proxy();
    assert!(replies.len() > 40, "they are no longer found: {replies:?}");
    let missing: BTreeSet<&String> =
        replies.iter().filter(|reply| !quotes.iter().any(|quote| covers(quote, reply))).collect();
    assert!(missing.is_empty(), "not in docs/troubleshooting.md: {missing:#?}");
}

#[test]
fn every_alert_arrives_at_an_entry_that_names_it() {
    let entries = entries(&document());
    let alerts = literals::text_of(&repository().join("monitoring/alerts.yml"));
    let mut names = BTreeSet::new();
    for rule in alerts.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default().trim();
        let (_, link) =
            rule.split_once("troubleshooting.md#").unwrap_or_else(|| panic!("{name} links nowhere"));
        let anchor: String = link.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let entry = entries.iter().find(|entry| entry.anchor == anchor);
        let entry = entry.unwrap_or_else(|| panic!("{name} links to #{anchor}, which is not there"));
        assert!(entry.text.contains(&format!("`{name}`")), "#{anchor} does not name {name}");
        names.insert(name);
    }
    assert!(!names.is_empty(), "there are no alerts");
    for entry in entries.iter().filter(|entry| entry.is_of("alert")) {
        for quote in entry.quotes() {
            assert!(names.contains(quote.as_str()), "#{}: there is no alert {quote}", entry.anchor);
        }
    }
}

#[test]
fn every_link_arrives_and_every_entry_is_in_the_index() {
    let document = document();
    let entries = entries(&document);
    let anchors: BTreeSet<&str> = entries.iter().map(|entry| entry.anchor.as_str()).collect();
    assert_eq!(anchors.len(), entries.len(), "an anchor is there twice");
    let slug = |heading: &str| -> String {
        let kept =
            heading.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != ' ' && c != '-', "");
        kept.trim().replace(' ', "-")
    };
    let sections: BTreeSet<String> =
        document.lines().filter_map(|line| line.strip_prefix("## ")).map(slug).collect();
    let links: BTreeSet<&str> =
        document.split("](#").skip(1).filter_map(|link| link.split(')').next()).collect();
    for link in &links {
        assert!(anchors.contains(link) || sections.contains(*link), "#{link} is not there");
    }
    let (_, index) = document.split_once("## Index").expect("there is an index");
    let index = index.split("\n## ").next().unwrap_or_default();
    for anchor in anchors {
        assert!(index.contains(&format!("](#{anchor})")), "#{anchor} is not in the index");
    }
    assert_eq!(document.matches("\n### ").count(), entries.len(), "a heading has no anchor");
}

#[test]
fn a_quote_must_be_what_is_printed() {
    assert!(covers(
        "node … gave no answer within … ms",
        "UNAVAILABLE node … gave no answer within … ms (epoch …)"
    ));
    for other in ["node … gave no answer in … ms", "within … node … gave", "no answers"] {
        assert!(!covers(other, "UNAVAILABLE node … gave no answer within … ms (epoch …)"), "{other}");
    }
    assert_eq!(code_spans("`a` and ``b `c` d``, `e"), ["a", "b `c` d"]);
}
