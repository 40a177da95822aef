//! What any process can run out of, and processes that do not stay.

use crate::monitoring::rule::{Fires, Rule, Severity};

pub(super) fn rules() -> Vec<Rule> {
    vec![open_files(), memory(), restarts(), versions_differ()]
}

fn open_files() -> Rule {
    Rule {
        name: "FastCacheOpenFilesNearlyUsedUp",
        expression: "process_open_fds{job=~\"fastcache-.+\"} / process_max_fds{job=~\"fastcache-.+\"} > 0.85",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "{{ $labels.instance }} has more than 85 % of the files open that it may",
        description: "Every connection is an open file; at the limit no new one can be made. Raise the limit (ulimit \
                      -n, LimitNOFILE, ulimits.nofile) and look who holds the connections.",
        anchor: "open-files",
        fires: Fires {
            series: &[
                ("process_open_fds{job=\"fastcache-proxy\",instance=\"proxy1\"}", "900x90"),
                ("process_max_fds{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1000x90"),
            ],
            alerts: &[&[("job", "fastcache-proxy"), ("instance", "proxy1")]],
        },
        silent: &[
            ("process_open_fds{job=\"fastcache-proxy\",instance=\"proxy1\"}", "800x90"),
            ("process_max_fds{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1000x90"),
            ("process_open_fds{job=\"prometheus\",instance=\"prometheus\"}", "900x90"),
            ("process_max_fds{job=\"prometheus\",instance=\"prometheus\"}", "1000x90"),
        ],
    }
}

/// A tenth is what a burst of large replies takes in seconds.
fn memory() -> Rule {
    Rule {
        name: "FastCacheMemoryNearLimit",
        expression: "process_resident_memory_bytes{job=~\"fastcache-.+\"} \
                     / process_memory_limit_bytes{job=~\"fastcache-.+\"} > 0.9",
        lasting_seconds: 60,
        severity: Severity::Warning,
        summary: "{{ $labels.instance }} uses more than 90 % of the memory it may",
        description: "At the limit the kernel kills it. Clients that ask for large replies and do not read them are \
                      the usual cause. Raise the limit (PROXY_MEM_LIMIT), or find those clients with CLIENT LIST.",
        anchor: "memory-limit",
        fires: Fires {
            series: &[
                ("process_resident_memory_bytes{job=\"fastcache-proxy\",instance=\"proxy1\"}", "950x90"),
                ("process_memory_limit_bytes{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1000x90"),
            ],
            alerts: &[&[("job", "fastcache-proxy"), ("instance", "proxy1")]],
        },
        silent: &[
            ("process_resident_memory_bytes{job=\"fastcache-proxy\",instance=\"proxy1\"}", "850x90"),
            ("process_memory_limit_bytes{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1000x90"),
            ("process_resident_memory_bytes{job=\"fastcache-health\",instance=\"health\"}", "950x90"),
        ],
    }
}

/// Once is a release, twice a correction of it.
fn restarts() -> Rule {
    Rule {
        name: "FastCacheProcessRestarts",
        expression: "changes(process_start_time_seconds{job=~\"fastcache-.+\"}[10m]) > 2",
        lasting_seconds: 0,
        severity: Severity::Warning,
        summary: "{{ $labels.instance }} was restarted more than twice in ten minutes",
        description: "It ends and is started again. The end of its previous log tells why; exit status 137 means \
                      that it was killed for using too much memory.",
        anchor: "process-restarts",
        fires: Fires {
            series: &[(
                "process_start_time_seconds{job=\"fastcache-proxy\",instance=\"proxy1\"}",
                "1x40 2x10 3x10 4x30",
            )],
            alerts: &[&[("job", "fastcache-proxy"), ("instance", "proxy1")]],
        },
        silent: &[
            ("process_start_time_seconds{job=\"prometheus\",instance=\"prometheus\"}", "1x40 2x10 3x10 4x30"),
            ("process_start_time_seconds{job=\"fastcache-proxy\",instance=\"proxy1\"}", "1x40 2x50"),
        ],
    }
}

/// An hour: rolling out a release takes a while, forgetting half of it takes longer.
fn versions_differ() -> Rule {
    Rule {
        name: "FastCacheVersionsDiffer",
        expression: "count(count by (version) (build_info{job=~\"fastcache-.+\"})) > 1",
        lasting_seconds: 600,
        severity: Severity::Warning,
        summary: "Processes of different builds run side by side",
        description: "Fine while a release is rolled out, and a surprise afterwards: the dashboard tells which \
                      process is which build.",
        anchor: "versions-differ",
        fires: Fires {
            series: &[
                ("build_info{job=\"fastcache-proxy\",instance=\"proxy1\",version=\"a\"}", "1x90"),
                ("build_info{job=\"fastcache-proxy\",instance=\"proxy2\",version=\"b\"}", "1x90"),
            ],
            alerts: &[&[]],
        },
        silent: &[
            ("build_info{job=\"fastcache-proxy\",instance=\"proxy1\",version=\"a\"}", "1x90"),
            ("build_info{job=\"fastcache-proxy\",instance=\"proxy2\",version=\"a\"}", "1x90"),
            ("build_info{job=\"prometheus\",instance=\"prometheus\",version=\"b\"}", "1x90"),
        ],
    }
}
