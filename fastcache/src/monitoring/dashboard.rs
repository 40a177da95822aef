//! A dashboard: rows of panels, laid out and written in Grafana's JSON (schema 39, Grafana 11).
//!
//! Panels of a row stand side by side and wrap, as words do. Every dashboard has the choice of the data
//! source, links to the others, and marks the moments at which a view was published: most of what moves in a
//! cluster moves then.

use serde_json::{Value, json};

use super::panel::{Panel, datasource};

/// Grafana's grid is that wide.
const GRID: u64 = 24;

/// The JSON schema of Grafana 11.
const SCHEMA_VERSION: u64 = 39;

/// A dashboard.
#[derive(Debug)]
pub(super) struct Dashboard {
    /// Fixed, so that links and bookmarks outlive an upgrade. Also the file's name.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// What the viewer may narrow it to.
    pub(super) variables: Vec<Variable>,
    pub(super) rows: Vec<Row>,
}

/// A choice at the top of the dashboard, from the values a label has.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// The metric whose label it is.
    pub(super) metric: &'static str,
    pub(super) of_label: &'static str,
}

/// Panels under a heading.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

impl Dashboard {
    /// The text of its JSON file.
    pub(super) fn render(&self) -> String {
        let variables: Vec<Value> = std::iter::once(datasource_variable())
            .chain(self.variables.iter().map(Variable::render))
            .collect();
        let json = json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["fastcache"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "annotations": {"list": [views_published()]},
            "links": [links()],
            "templating": {"list": variables},
            "panels": self.panels(),
        });
        // With `:#` a value is written indented, and writing JSON values to text cannot fail.
        format!("{json:#}\n")
    }

    fn panels(&self) -> Vec<Value> {
        let mut panels: Vec<Value> = Vec::new();
        let mut top = 0;
        let mut place = |mut panel: Value, [x, y, w, h]: [u64; 4]| {
            // 0 is not an id for Grafana.
            panel["id"] = (panels.len() + 1).into();
            panel["gridPos"] = json!({"x": x, "y": y, "w": w, "h": h});
            panels.push(panel);
        };
        for row in &self.rows {
            place(
                json!({"type": "row", "title": row.title, "collapsed": false, "panels": []}),
                [0, top, GRID, 1],
            );
            top += 1;
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                if left + panel.width > GRID {
                    top += height;
                    (left, height) = (0, 0);
                }
                place(panel.render(), [left, top, panel.width, panel.height()]);
                left += panel.width;
                height = height.max(panel.height());
            }
            top += height;
        }
        panels
    }
}

impl Variable {
    fn render(&self) -> Value {
        let query = format!("label_values({}, {})", self.metric, self.of_label);
        json!({
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": datasource(),
            "definition": query,
            "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2,
            "sort": 7,
            "multi": true,
            "includeAll": true,
            "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
            "options": [],
            "hide": 0,
            "skipUrlSync": false,
        })
    }
}

fn datasource_variable() -> Value {
    json!({
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "multi": false,
        "includeAll": false,
        "current": {},
        "options": [],
        "hide": 0,
        "skipUrlSync": false,
    })
}

fn views_published() -> Value {
    json!({
        "name": "A view was published",
        "datasource": datasource(),
        "enable": true,
        "hide": false,
        "iconColor": "purple",
        "expr": "changes(health_service_epoch[30s]) > 0",
        "titleFormat": "New view",
        "textFormat": "Nodes became routable or stopped being so",
        "step": "10s",
    })
}

fn links() -> Value {
    json!({
        "type": "dashboards",
        "title": "FastCache",
        "tags": ["fastcache"],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": true,
        "targetBlank": false,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::panel::{Good, Unit};

    fn dashboard(panels: Vec<Panel>) -> Value {
        let dashboard = Dashboard {
            uid: "u",
            title: "t",
            description: "d",
            variables: Vec::new(),
            rows: vec![Row { title: "r", panels }, Row { title: "s", panels: Vec::new() }],
        };
        serde_json::from_str(&dashboard.render()).unwrap()
    }

    #[test]
    fn panels_wrap_and_never_overlap() {
        let stat = || Panel::stat("s", Good::Any, "");
        let graph = || Panel::graph("g", Unit::Number, "");
        let json = dashboard(vec![stat(), graph(), graph(), graph(), stat().wide(24)]);
        let at = |index: usize| -> Vec<u64> {
            ["x", "y", "w", "h"]
                .iter()
                .map(|key| json["panels"][index]["gridPos"][*key].as_u64().unwrap())
                .collect()
        };
        let places: Vec<_> = (0..7).map(at).collect();
        assert_eq!(
            places,
            [
                [0, 0, 24, 1],
                [0, 1, 4, 4],
                [4, 1, 8, 8],
                [12, 1, 8, 8],
                [0, 9, 8, 8],
                [0, 17, 24, 4],
                [0, 21, 24, 1]
            ]
        );
        let ids: Vec<_> = (0..7).map(|index| json["panels"][index]["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    }
}
