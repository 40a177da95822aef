//! The dashboards: one for whoever is woken at night, one each for the two services that tell numbers, and one for what
//! goes through.

mod health;
mod overview;
mod proxies;
mod traffic;

use super::dashboard::Dashboard;

/// All dashboards.
pub(super) fn all() -> Vec<Dashboard> {
    vec![overview::dashboard(), proxies::dashboard(), traffic::dashboard(), health::dashboard()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_panel_tells_what_it_shows_and_what_to_do() {
        for dashboard in all() {
            let json: Value = serde_json::from_str(&dashboard.render()).unwrap();
            let mut titles = BTreeSet::new();
            for panel in json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
                let title = panel["title"].as_str().unwrap();
                let description = panel["description"].as_str().unwrap();
                assert!(titles.insert(title), "{}: {title} is there twice", dashboard.uid);
                assert!(
                    description.len() > 60 && description.ends_with(['.', '?']),
                    "{title}: {description}"
                );
                assert!(!description.contains("  "), "{title}: {description}");
                assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}");
            }
        }
    }

    #[test]
    fn every_variable_of_a_query_is_declared() {
        for dashboard in all() {
            let text = dashboard.render();
            let declared: BTreeSet<_> = dashboard.variables.iter().map(|variable| variable.name).collect();
            for rest in text.split("=~\\\"$").skip(1) {
                let name = rest.split('\\').next().unwrap();
                assert!(declared.contains(name), "{}: ${name}", dashboard.uid);
            }
        }
    }
}
