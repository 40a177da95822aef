//! Reads what processes answer to `GET /metrics`: the names and labels of the series, not their values.

use std::collections::BTreeMap;

use crate::http;

/// A time series.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// What a process answers to a scrape.
pub(crate) fn metrics(address: &str) -> Result<String, String> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer =
        http::exchange(address, request.as_bytes()).map_err(|error| format!("{address}: {error}"))?;
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address}: no head: {answer}"))?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{address}: {head}");
    // HAProxy does not know how long its answer will be when it begins it.
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Ok(if is_chunked { unchunked(body) } else { body.to_owned() })
}

/// Puts the pieces together: each is its length in hexadecimal digits, a line end, the piece, a line end.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or_else(|error| panic!("{length}: {error}"));
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// The series in a text of Prometheus' or OpenMetrics' format, with the labels of the target added.
pub(crate) fn scrape(text: &str, of_target: &[(&str, &str)]) -> Vec<Series> {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.map(|line| series(line, of_target)).collect()
}

fn series(line: &str, of_target: &[(&str, &str)]) -> Series {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("not a sample: {line}"));
    let (name, rest) = line.split_at(end);
    let mut labels: BTreeMap<String, String> =
        of_target.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if let Some(inside) = rest.strip_prefix('{') {
        let (inside, _) = inside.rsplit_once('}').unwrap_or_else(|| panic!("not a sample: {line}"));
        // No value here holds a quote, so every second piece between quotes is one.
        let pieces: Vec<&str> = inside.split('"').collect();
        for pair in pieces.chunks_exact(2) {
            let name = pair[0].trim_start_matches(',').trim_end_matches('=');
            labels.insert(name.to_owned(), pair[1].to_owned());
        }
    }
    Series { name: name.to_owned(), labels }
}

#[test]
fn a_sample_is_a_name_and_its_labels() {
    let text = "# TYPE a counter\na_total{x=\"1\",y=\"two words, {braces}\"} 3\nb 4 1795158490\n# EOF\n";
    let series = scrape(text, &[("job", "j")]);
    let labels =
        |index: usize| series[index].labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
    assert_eq!((series[0].name.as_str(), series[1].name.as_str(), series.len()), ("a_total", "b", 2));
    assert_eq!(labels(0), ["job=j", "x=1", "y=two words, {braces}"]);
    assert_eq!(labels(1), ["job=j"]);
}

#[test]
fn pieces_are_put_together() {
    assert_eq!(unchunked("3\r\na 1\r\n2\r\n\nb\r\n0\r\n\r\n"), "a 1\nb");
}
