//! The dashboards and alert rules against what the real processes tell: a query that does not parse, or that
//! names a metric, a label or a value that nobody serves, is an empty panel and an alert that never comes.

mod queries;
mod scrape;

use std::fs;
use std::path::Path;

use promql_parser::label::{MatchOp, Matcher};

use crate::eventually::eventually;
use crate::up::Up;
use queries::{Query, Selector, queries};
use scrape::{Series, metrics, scrape};

/// Below this folder is what Prometheus and Grafana are started with.
fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

fn committed(path: &str) -> String {
    let path = folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// There only where a control group limits the memory: in the containers, and not everywhere where tests run.
/// It has the labels of its target, as this one has.
const IN_CONTAINERS_ONLY: (&str, &str) = ("process_memory_limit_bytes", "process_resident_memory_bytes");

#[test]
fn every_query_parses_and_asks_for_what_the_processes_tell() {
    let queries = queries(&folder());
    // 4 dashboards, each with an annotation and more than a dozen panels, and the rules.
    assert!(queries.len() > 100, "only {} queries found", queries.len());
    let up = Up::start("haproxy");
    let mut client = up.client();
    assert_eq!(client.ask("SET key value"), "+OK\r\n");
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    // HAProxy and the health service tell some numbers only after the first check.
    let mistakes = eventually("every query asks for what is there", || {
        let series = everything_told(&up)?;
        let mistakes: Vec<String> = queries.iter().flat_map(|query| mistakes(query, &series)).collect();
        if mistakes.is_empty() { Ok(mistakes) } else { Err(format!("\n{}", mistakes.join("\n"))) }
    });
    assert!(mistakes.is_empty());
}

#[test]
fn what_nobody_tells_is_found() {
    let series = scrape(
        "requests_total{code=\"200\"} 1\nrequests_seconds_bucket{le=\"+Inf\"} 1\n",
        &[("job", "j"), ("instance", "i")],
    );
    let found = |expression: &str, legend: &str| {
        mistakes(&Query::new("here", expression, legend).expect("it parses"), &series).len()
    };
    assert_eq!(found("rate(requests_total{code=\"200\",job=~\"j|k\"}[5m])", "{{instance}} {{code}}"), 0);
    assert_eq!(found("sum by (le) (requests_seconds_bucket)", ""), 0);
    assert_eq!(found("count_values(\"code\", requests_total)", "{{code}}"), 0);
    for (expression, legend) in [
        ("requests", ""),
        ("requests_total{code=\"500\"}", ""),
        ("requests_total{kode=~\".*\"}", ""),
        ("requests_total{job=~\"k.*\"}", ""),
        ("sum by (kode) (requests_total)", ""),
        ("requests_total and on (kode) requests_total", ""),
        ("requests_total", "{{kode}}"),
    ] {
        assert_eq!(found(expression, legend), 1, "{expression}");
    }
    for nonsense in
        ["sum(", "rate(requests_total)", "requests_total{code}", "no_such_function(requests_total)"]
    {
        assert!(Query::new("here", nonsense, "").is_err(), "{nonsense}");
    }
}

#[test]
fn every_alert_has_a_section_that_tells_what_to_do() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/troubleshooting.md");
    let guide = fs::read_to_string(&guide).unwrap_or_else(|error| panic!("{}: {error}", guide.display()));
    let headings: Vec<String> = guide.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let alerts = committed("alerts.yml");
    let anchors = alerts.lines().filter_map(|line| line.split_once("docs/troubleshooting.md#"));
    let mut count = 0;
    for anchor in anchors.map(|(_, anchor)| anchor.trim_end_matches('\'')) {
        let is_there =
            headings.iter().any(|heading| heading == anchor) || guide.contains(&format!("id=\"{anchor}\""));
        assert!(is_there, "docs/troubleshooting.md has no section #{anchor}");
        count += 1;
    }
    assert_eq!(count, alerts.matches("- alert: ").count());
}

/// The anchor that renderers of Markdown give to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Everything Prometheus would have of this cluster, as its configuration labels it.
fn everything_told(up: &Up) -> Result<Vec<Series>, String> {
    let configuration = committed("prometheus.yml");
    let proxies = [("proxy1", up.ports.first_admin), ("proxy2", up.ports.first_admin + 1)];
    let proxies = proxies.map(|(proxy, port)| ("fastcache-proxy", proxy, port));
    let others = [("fastcache-health", "health", up.ports.health), ("haproxy", "haproxy", up.ports.stats)];
    let mut series = Vec::new();
    for (job, instance, port) in proxies.into_iter().chain(others) {
        assert!(configuration.contains(&format!("job_name: {job}\n")), "no job {job}");
        assert!(
            configuration.contains(&format!("labels: {{instance: {instance}}}\n")),
            "no target {instance}"
        );
        let text = metrics(&format!("127.0.0.1:{port}"))?;
        let of_target = [("job", job), ("instance", instance)];
        series.extend(scrape(&text, &of_target));
        // What Prometheus adds to each target.
        series.extend(scrape("up 1\n", &of_target));
    }
    // What Prometheus makes of the rules.
    series.extend(scrape("ALERTS{alertname=\"FastCacheNodeUnhealthy\",alertstate=\"firing\"} 1\n", &[]));
    Ok(series)
}

/// What a query asks for that is not there, one line each.
fn mistakes(query: &Query, series: &[Series]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for selector in &query.selectors {
        if !series.iter().any(|series| selects(selector, series)) {
            mistakes.push(format!("{}: nobody tells {selector} ({})", query.place, query.expression));
        }
    }
    for label in &query.labels {
        let of_query =
            |series: &&Series| query.selectors.iter().any(|selector| name(selector) == series.name);
        let is_there = |series: &Series| series.labels.contains_key(label);
        if !series.iter().filter(of_query).any(is_there) && !query.made.contains(label) {
            mistakes.push(format!("{}: nothing has the label {label} ({})", query.place, query.expression));
        }
    }
    mistakes
}

fn name(selector: &Selector) -> &str {
    let (limited, instead) = IN_CONTAINERS_ONLY;
    if selector.name == limited { instead } else { &selector.name }
}

fn selects(selector: &Selector, series: &Series) -> bool {
    name(selector) == series.name
        && selector.matchers.iter().all(|matcher| {
            series
                .labels
                .get(&matcher.name)
                .is_some_and(|value| is_variable(matcher) || matcher.is_match(value))
        })
}

/// `instance=~"$proxy"`: the viewer of the dashboard chooses the value.
fn is_variable(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Re(_)) && matcher.value.starts_with('$')
}
