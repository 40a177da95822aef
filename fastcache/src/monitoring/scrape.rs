//! Where Prometheus finds the processes, and where Grafana finds Prometheus.
//!
//! Every target carries the name that the cluster knows it by as its `instance`: the same `proxy1` that the
//! health service calls a member and HAProxy a server, wherever it runs.

use std::fmt::Write;

use crate::haproxy_config::STATS_PORT;
use crate::layout::proxy_name;

/// Where the cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In containers, each with a name of its own.
    Containers,
    /// On one host, on the standard ports of `fastcache up`.
    Host,
}

/// The jobs, as queries name them.
pub(super) const PROXY_JOB: &str = "fastcache-proxy";
pub(super) const HEALTH_JOB: &str = "fastcache-health";
pub(super) const HAPROXY_JOB: &str = "haproxy";

/// Often enough to see a failover that lasts seconds as a point of its own; a scrape is some milliseconds of work.
pub(super) const SCRAPE_INTERVAL: &str = "10s";

/// The ports of `fastcache up`, and of the processes in their containers.
const FIRST_ADMIN_PORT: u64 = 9382;
const HEALTH_PORT: u16 = 8080;
const PROMETHEUS_PORT: u16 = 9090;

/// The text of `prometheus.yml`.
pub(super) fn configuration(proxies: u64, place: Place) -> String {
    let (health, haproxy) = match place {
        Place::Containers => ("health-checker", "load-balancer"),
        Place::Host => ("127.0.0.1", "127.0.0.1"),
    };
    let mut proxy_targets = String::new();
    for index in 0..proxies {
        let name = usize::try_from(index).map(proxy_name).unwrap_or_default();
        let address = match place {
            Place::Containers => format!("fastcache-{name}:{FIRST_ADMIN_PORT}"),
            Place::Host => format!("127.0.0.1:{}", FIRST_ADMIN_PORT + index),
        };
        // Writing to a String cannot fail.
        let _ =
            write!(proxy_targets, "      - targets: [\"{address}\"]\n        labels: {{instance: {name}}}\n");
    }
    include_str!("../../templates/monitoring/prometheus.yml")
        .replace("{interval}", SCRAPE_INTERVAL)
        .replace("{proxy_job}", PROXY_JOB)
        .replace("{proxies}", &proxy_targets)
        .replace("{health_job}", HEALTH_JOB)
        .replace("{health}", &format!("{health}:{HEALTH_PORT}"))
        .replace("{haproxy_job}", HAPROXY_JOB)
        .replace("{haproxy}", &format!("{haproxy}:{STATS_PORT}"))
        .replace("{prometheus}", &format!("127.0.0.1:{PROMETHEUS_PORT}"))
}

/// The text of Grafana's data source.
pub(super) fn datasource(place: Place) -> String {
    let prometheus = match place {
        Place::Containers => "prometheus",
        Place::Host => "127.0.0.1",
    };
    include_str!("../../templates/monitoring/datasource.yml")
        .replace("{prometheus}", &format!("{prometheus}:{PROMETHEUS_PORT}"))
        .replace("{interval}", SCRAPE_INTERVAL)
}

/// The text that makes Grafana load the dashboards.
pub(super) fn dashboard_provider() -> String {
    include_str!("../../templates/monitoring/dashboards.yml").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proxy_is_a_target_under_its_name() {
        let text = configuration(2, Place::Containers);
        for index in [1, 2] {
            let target = format!(
                "- targets: [\"fastcache-proxy{index}:9382\"]\n        labels: {{instance: proxy{index}}}\n"
            );
            assert!(text.contains(&target), "{text}");
        }
        assert!(!text.contains("proxy3"), "{text}");
        assert!(configuration(2, Place::Host).contains("\"127.0.0.1:9383\""));
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for place in [Place::Containers, Place::Host] {
            for text in [configuration(5, place), datasource(place), dashboard_provider()] {
                let braces = text.matches('{').count();
                assert_eq!(braces, text.matches("{instance: ").count(), "{text}");
            }
        }
    }
}
