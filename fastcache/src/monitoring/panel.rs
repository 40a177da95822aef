//! One panel of a dashboard: what it shows, and what to do when it looks bad.
//!
//! Two kinds are enough: a *stat* is one number that is green or red, a *graph* is how numbers went. Where a
//! panel stands is not its own business: [`crate::monitoring::dashboard`] lays panels out.

use serde_json::{Value, json};

/// Grafana's names of units.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Number,
    PerSecond,
    Bytes,
    BytesPerSecond,
    Seconds,
    Share,
    Cores,
}

impl Unit {
    fn id(self) -> &'static str {
        match self {
            Self::Number => "none",
            Self::PerSecond => "ops",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::Seconds => "s",
            Self::Share => "percentunit",
            // Cores busy: 1 is one whole core.
            Self::Cores => "short",
        }
    }
}

/// Which numbers of a stat are good.
#[derive(Debug, Clone, Copy)]
pub(super) enum Good {
    /// Neither good nor bad.
    Any,
    /// 0 is green, more is red.
    Zero,
    /// At least this is green, less is red.
    AtLeast(f64),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Stat(Good),
    Graph,
}

#[derive(Debug, Clone, Copy)]
struct Query {
    expression: &'static str,
    legend: &'static str,
}

/// A panel.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    description: &'static str,
    unit: Unit,
    queries: Vec<Query>,
    /// In units of which a dashboard has 24.
    pub(super) width: u64,
}

/// The data source is chosen at the top of the dashboard.
pub(super) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Panel {
    /// One number, coloured. The description says what to do when it is red.
    pub(super) fn stat(title: &'static str, good: Good, description: &'static str) -> Self {
        let kind = Kind::Stat(good);
        Self { kind, title, description, unit: Unit::Number, queries: Vec::new(), width: 4 }
    }

    /// Lines over time. The description says what to do when they go where they should not.
    pub(super) fn graph(title: &'static str, unit: Unit, description: &'static str) -> Self {
        Self { kind: Kind::Graph, title, description, unit, queries: Vec::new(), width: 8 }
    }

    /// Adds what it shows; `legend` names each line and may hold labels: `{{instance}}`.
    pub(super) fn query(mut self, expression: &'static str, legend: &'static str) -> Self {
        self.queries.push(Query { expression, legend });
        self
    }

    /// Another unit than a plain number.
    pub(super) fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Another width than the kind's.
    pub(super) fn wide(mut self, width: u64) -> Self {
        self.width = width;
        self
    }

    /// In units of which a screen shows about thirty.
    pub(super) fn height(&self) -> u64 {
        match self.kind {
            Kind::Stat(_) => 4,
            Kind::Graph => 8,
        }
    }

    /// Grafana's form of it. The place on the dashboard is the caller's to add.
    pub(super) fn render(&self) -> Value {
        let (kind, defaults, options) = match self.kind {
            Kind::Stat(good) => ("stat", stat_defaults(good), stat_options()),
            Kind::Graph => ("timeseries", graph_defaults(), graph_options()),
        };
        let mut defaults = defaults;
        defaults["unit"] = self.unit.id().into();
        // Counts and shares do not go below zero, and a line at zero should lie at the bottom.
        defaults["min"] = 0.into();
        let targets: Vec<Value> =
            self.queries.iter().zip("ABCDEFGH".chars()).map(|(query, id)| query.render(id)).collect();
        json!({
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
            "targets": targets,
        })
    }
}

impl Query {
    fn render(self, id: char) -> Value {
        json!({
            "refId": id.to_string(),
            "datasource": datasource(),
            "editorMode": "code",
            "expr": self.expression,
            "legendFormat": self.legend,
            "range": true,
            "instant": false,
        })
    }
}

fn stat_defaults(good: Good) -> Value {
    let steps = match good {
        Good::Any => json!([{"color": "blue", "value": null}]),
        Good::Zero => {
            json!([{"color": "green", "value": null}, {"color": "red", "value": f64::MIN_POSITIVE}])
        }
        Good::AtLeast(bound) => json!([{"color": "red", "value": null}, {"color": "green", "value": bound}]),
    };
    json!({
        "color": {"mode": "thresholds"},
        "mappings": [],
        "noValue": "no data",
        "thresholds": {"mode": "absolute", "steps": steps},
    })
}

fn stat_options() -> Value {
    json!({
        "colorMode": "background",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        "showPercentChange": false,
        "textMode": "auto",
        "wideLayout": true,
    })
}

fn graph_defaults() -> Value {
    json!({
        "color": {"mode": "palette-classic"},
        "custom": {
            "drawStyle": "line",
            "fillOpacity": 10,
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "showPoints": "auto",
            "spanNulls": false,
        },
        "mappings": [],
        "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": null}]},
    })
}

fn graph_options() -> Value {
    json!({
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true},
        "tooltip": {"mode": "multi", "sort": "desc"},
    })
}
