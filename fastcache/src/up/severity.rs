//! How serious a child's line is, by what its writer says of it. Pure.
//!
//! Fifty nodes that start as they should are a hundred lines that nobody reads, between those that somebody must.

/// What processes of ours and HAProxy call lines about what goes as it should.
const ROUTINE: [&str; 4] = ["INFO", "DEBUG", "TRACE", "NOTICE"];

/// Whether a line tells of what goes as it should. One that does not say how serious it is, such as that of a panic, is
/// none; nor is one that tells of a change, because who has read that a node is gone must read that it is back.
pub(super) fn is_routine(line: &str) -> bool {
    level(line).is_some_and(|level| ROUTINE.contains(&level)) && !tells_of_a_change(line)
}

/// Whether the health service says here that a member has another status than it had. Its first one is no change.
fn tells_of_a_change(line: &str) -> bool {
    let is_of = |transition: &str, first: &str| line.contains(transition) && !line.contains(first);
    is_of(" health_service::monitor: transition member=", " from=UNKNOWN ")
        || is_of("\"message\":\"transition\"", "\"from\":\"UNKNOWN\"")
}

fn level(line: &str) -> Option<&str> {
    match line.bytes().next()? {
        // {"timestamp":"…","level":"INFO",…}
        b'{' => line.split_once("\"level\":\"")?.1.split('"').next(),
        // [NOTICE]   (4711) : …
        b'[' => line[1..].split(']').next(),
        // 2026-11-20T10:00:00.000000Z  INFO target: …
        b'0'..=b'9' => {
            let (time, rest) = line.split_once(' ')?;
            let is_time = time.contains('T') && time.ends_with('Z');
            is_time.then(|| rest.split_whitespace().next())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_as_it_should_is_told_from_all_else() {
        for line in [
            "2026-11-20T10:00:00.000000Z  INFO cache_node::server: serving node=node1",
            "2026-11-20T10:00:00.000000Z DEBUG x: y",
            r#"{"timestamp":"2026-11-20T10:00:00Z","level":"INFO","message":"serving"}"#,
            "[NOTICE]   (4711) : New worker (4712) forked",
            "2026-11-20T10:00:00.000000Z  INFO health_service::monitor: transition member=node1 from=UNKNOWN to=HEALTHY",
            r#"{"level":"INFO","message":"transition","member":"node1","from":"UNKNOWN","to":"HEALTHY"}"#,
        ] {
            assert!(is_routine(line), "{line}");
        }
        for line in [
            "2026-11-20T10:00:00.000000Z  WARN cache_proxy::link: INFO refused",
            r#"{"timestamp":"2026-11-20T10:00:00Z","level":"ERROR","message":"\"level\":\"INFO\""}"#,
            "2026-11-20T10:00:00.000000Z  INFO health_service::monitor: transition member=node1 from=UNHEALTHY to=HEALTHY",
            r#"{"level":"INFO","message":"transition","member":"node1","from":"UNHEALTHY","to":"HEALTHY"}"#,
            "[WARNING]  (4711) : Server proxies/proxy1 is DOWN",
            "[ALERT]    (4711) : cannot bind",
            "thread 'main' panicked at INFO",
            "cache-node: cannot listen on 127.0.0.1:7001",
            "1 INFORMATION",
            "2 INFO lines were lost",
            "7T INFO x",
            "",
        ] {
            assert!(!is_routine(line), "{line}");
        }
    }
}
