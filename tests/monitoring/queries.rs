//! Every query of the dashboards and the alert rules, taken apart: which series it asks for, and which labels
//! it counts on.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::path::Path;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

/// One query.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Where it stands, for messages.
    pub(crate) place: String,
    pub(crate) expression: String,
    pub(crate) selectors: Vec<Selector>,
    /// Labels it groups or joins by, or shows.
    pub(crate) labels: BTreeSet<String>,
    /// Labels it makes itself: `count_values("epoch", …)`.
    pub(crate) made: BTreeSet<String>,
}

/// `name{matchers}`.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// All queries below the folder.
pub(crate) fn queries(folder: &Path) -> Vec<Query> {
    let read =
        |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut queries = of_rules(&read(&folder.join("alerts.yml")));
    let dashboards = folder.join("grafana/dashboards");
    let entries =
        fs::read_dir(&dashboards).unwrap_or_else(|error| panic!("{}: {error}", dashboards.display()));
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        let json =
            serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let place = path.file_name().unwrap_or_default().to_string_lossy();
        of_json(&json, &place, &mut queries);
    }
    queries
}

impl Query {
    /// Takes a query apart; `legend` is the text that shows its labels.
    pub(crate) fn new(place: &str, expression: &str, legend: &str) -> Result<Self, String> {
        let mut query = Self { place: place.into(), expression: expression.into(), ..Self::default() };
        // Any range will do: Grafana puts one in that suits the width of the screen.
        let parsed = parser::parse(&expression.replace("$__rate_interval", "1m"))
            .map_err(|error| format!("{place}: {expression}: {error}"))?;
        match walk_expr(&mut query, &parsed) {
            Ok(_) => {}
        }
        let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        query.labels.extend(shown.map(str::to_owned));
        Ok(query)
    }

    fn add(&mut self, selector: &VectorSelector) {
        let name = selector.name.clone().unwrap_or_default();
        assert!(!name.is_empty(), "{}: a selector without a name: {}", self.place, self.expression);
        self.selectors.push(Selector { name, matchers: selector.matchers.matchers.clone() });
    }

    fn add_labels(&mut self, modifier: Option<&LabelModifier>) {
        self.labels.extend(modifier.iter().flat_map(|modifier| modifier.labels().labels.iter().cloned()));
    }
}

impl ExprVisitor for Query {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.add(selector),
            Expr::MatrixSelector(matrix) => self.add(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                self.add_labels(aggregate.modifier.as_ref());
                if let Some(Expr::StringLiteral(label)) = aggregate.param.as_deref() {
                    self.made.insert(label.val.clone());
                }
            }
            Expr::Binary(binary) => {
                self.add_labels(binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()));
            }
            _ => {}
        }
        Ok(true)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matchers: Vec<String> = self.matchers.iter().map(Matcher::to_string).collect();
        write!(f, "{}{{{}}}", self.name, matchers.join(","))
    }
}

/// The rules' expressions. The generator writes each on a line of its own, in single quotes.
fn of_rules(text: &str) -> Vec<Query> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let expressions: Vec<String> = lines.map(|line| line.trim_matches('\'').replace("''", "'")).collect();
    assert_eq!(expressions.len(), text.matches("- alert: ").count(), "a rule is written in another form");
    expressions.iter().map(|expression| parsed("alerts.yml", expression, "")).collect()
}

/// Whatever in a dashboard is a query: of a panel, of a mark in all panels, of a variable.
fn of_json(json: &Value, place: &str, queries: &mut Vec<Query>) {
    match json {
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let Some(expression) = text("expr") {
                queries.push(parsed(place, expression, text("legendFormat").unwrap_or_default()));
            }
            if let Some(definition) = text("definition") {
                let inside = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
                let (metric, label) =
                    inside.and_then(|inside| inside.split_once(", ")).expect("label_values(…)");
                queries.push(parsed(place, metric, &format!("{{{{{label}}}}}")));
            }
            fields.values().for_each(|value| of_json(value, place, queries));
        }
        Value::Array(values) => values.iter().for_each(|value| of_json(value, place, queries)),
        _ => {}
    }
}

fn parsed(place: &str, expression: &str, legend: &str) -> Query {
    Query::new(place, expression, legend).unwrap_or_else(|error| panic!("{error}"))
}
