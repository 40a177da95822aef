//! `docs/commands.md`: how every command of Redis and Valkey is served, made from the table that serves them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use commands::{Class, Command, Flags, KeySpec};

use crate::plan::handling::{FanOut, Handling};

/// What the document begins with.
const HEAD: &str = "# How each command is served\n\n\
    To a client the whole cluster is one standalone Redis. Which commands are there, and what they mean, is up to the\n\
    nodes; how they get there, and what is made of several nodes' replies, is up to the proxy. This document is made from\n\
    the table by which the proxy does it: a test of `cache-proxy` keeps the two equal, and knows of no command without a\n\
    place here. A command that is not here is unknown to the proxy and answered as Redis does.\n";

/// A way of serving: its title, and what it means.
type Way = (&'static str, &'static str);

const BY_KEY: Way = (
    "On the node of the key",
    "Sent to the node that serves the key. A command with several keys needs all of them on one node, else the answer is\n\
     `CROSSSLOT` and names two keys that are not; keys with the same part in braces, `{user:7}:cart` and `{user:7}:seen`,\n\
     live together. Options that ask for another database (`COPY … DB 1`), or for keys by pattern (`SORT … BY w_*`, unless\n\
     the pattern has the key's own tag), are refused.",
);
const BLOCKING: Way = (
    "Blocking, on the node of the key",
    "The same over a connection to the node that is the client's own while it waits. `XREAD` and `XREADGROUP` wait only\n\
     with `BLOCK`.",
);
const SCRIPT: Way = (
    "Scripts",
    "With keys: on the node of the keys, which must be one. Without a key the proxy cannot know where the script's data is,\n\
     so it runs on one of the nodes, the same one for `EVAL` and `EVALSHA` of the same script, under the name that may only\n\
     read (`EVAL_RO`, `EVALSHA_RO`, `FCALL_RO`; Redis 7.0 and later): a write is refused, because nobody would find it\n\
     again. A script must name its keys: those it makes up may live elsewhere. `SCRIPT LOAD` goes to all nodes, and the\n\
     proxy gives what it has seen loaded (up to 1 MiB) to every node that it connects to later, so a node that restarted\n\
     knows it before the first `EVALSHA`. What was sent by `EVAL` is known to the node that ran it: an `EVALSHA` with keys\n\
     of another node is answered with `NOSCRIPT` there, and client libraries then send the script, once per node. So may\n\
     be what was loaded through another proxy, after a node restarted. Libraries of functions are not kept: load them\n\
     again when a node came back empty.",
);
const SPLIT: Way = (
    "Split by node",
    "One request per node with the keys it serves, all at the same time; the replies become one. Each node executes its\n\
     part by itself: another client may see some parts done and others not.",
);
const EVERY: Way = (
    "On all nodes",
    "Sent to every node in service; the replies become one. A node that is out adds nothing.",
);
const SCAN: Way = (
    "Node after node",
    "One opaque cursor walks over all nodes, with Redis' promise: what is there from the beginning to the end is seen.",
);
const INFO: Way = (
    "Figures of all",
    "Memory, keys, hits, misses, expired and evicted keys are those of all nodes, added up; clients and requests are those of\n\
     this proxy. The nodes are asked at most once a second, however many clients ask, and 200 ms are waited for the slowest:\n\
     `nodes_in_info` says how many have answered. Counters do not fall when a node restarts. `instantaneous_ops_per_sec` is\n\
     what the nodes do for all proxies, and counts a request over several nodes for each.",
);
const SETTINGS: Way = (
    "Settings of all",
    "What tools ask for when they connect, told as one Redis would. `maxmemory` is the sum over all nodes (0 when one of\n\
     them has no limit) and `maxmemory-policy` what they do (`mixed` when they differ): the same as in `INFO`, where they\n\
     come from, because a tool that reads both must not find two limits, and because hosted servers answer `INFO` and\n\
     refuse `CONFIG`. Like there, a node that does not answer within 200 ms adds nothing, and when none does they are\n\
     left out. `slowlog-max-len` is a sum too, as `SLOWLOG GET` shows the entries of all nodes; what takes\n\
     `slowlog-log-slower-than` is noted wherever it runs (-1: some node notes nothing); `notify-keyspace-events` is empty\n\
     unless all nodes notify of the same. These three are asked of the nodes, as seldom and as patiently as `INFO`, and\n\
     told only when all that were asked have answered: else they are left out, because what is told holds for every key.\n\
     All else concerns connections and is this proxy's own: `maxclients`, `timeout`, `client-output-buffer-limit`,\n\
     `maxmemory-clients`, `proto-max-bulk-len`; `databases` is 1, `save` empty, `appendonly` no. `CONFIG SET` is refused:\n\
     a node takes it at its own port.",
);
const TRANSACTION: Way = (
    "Transactions",
    "Queued in the proxy and executed on one node: all keys of a transaction must live together. What the proxy answers by\n\
     itself, or asks all nodes, cannot be part of one: after `AUTH`, `HELLO`, `CLIENT`, `COMMAND`, `CONFIG`, `INFO`,\n\
     `SUBSCRIBE`, `SCRIPT LOAD` or `DBSIZE` in `MULTI` the answer of `EXEC` is `EXECABORT`. Redis queues these.",
);
const PUBSUB: Way = (
    "Publish/subscribe",
    "A channel lives on the node that a key of the same name would live on. The count that `PUBLISH` answers is that of the\n\
     proxies' workers that listen, not of their clients.",
);
const ANY: Way = ("On one node, whichever", "They concern no key and are answered alike by all nodes.");
const LOCAL: Way = (
    "By the proxy",
    "What concerns the connection. There is one database, no replication and no cluster mode; `WAIT` and `WAITAOF` know that\n\
     nobody will confirm a write. Subcommands that only a server could execute are answered with an error.",
);
const PROXY: Way = ("About the proxy", "FastCache's own: see [explain.md](explain.md).");
const REFUSED: Way = (
    "Not served",
    "They administer one server, move keys out of the cluster, or need a second database. The answer is an error that says\n\
     so; the connection stays. Ask the node itself.",
);

/// All ways, in the order of the document.
const WAYS: [Way; 14] = [
    BY_KEY,
    SPLIT,
    EVERY,
    SCAN,
    INFO,
    SETTINGS,
    BLOCKING,
    TRANSACTION,
    PUBSUB,
    SCRIPT,
    ANY,
    LOCAL,
    PROXY,
    REFUSED,
];

fn way(command: &Command) -> Way {
    match Handling::of(command) {
        Handling::ByKey if matches!(command.keys, KeySpec::None) => REFUSED,
        Handling::ByKey if command.flags.contains(Flags::BLOCKING) => BLOCKING,
        Handling::ByKey | Handling::ByKeyUnless(_) => BY_KEY,
        Handling::ByKeyOr(_) => SCRIPT,
        Handling::Keyless | Handling::Every(_) if command.class == Class::Scripting => SCRIPT,
        Handling::Keyless => ANY,
        Handling::Split(_) => SPLIT,
        Handling::Every(_) if command.class == Class::PubSub => PUBSUB,
        Handling::Every(_) => EVERY,
        Handling::Scan => SCAN,
        Handling::Info => INFO,
        Handling::Settings => SETTINGS,
        Handling::Publish | Handling::Subscribe(_) | Handling::Unsubscribe(_) => PUBSUB,
        Handling::Transaction => TRANSACTION,
        Handling::Local if command.class == Class::Scripting => REFUSED,
        Handling::Local => LOCAL,
        Handling::Proxy => PROXY,
        Handling::Refuse(_) => REFUSED,
        Handling::BySubcommand => unreachable!("its subcommands stand for it"),
    }
}

/// What is made of the nodes' replies.
fn merged(command: &Command) -> Option<&'static str> {
    let Handling::Every(fan_out) = Handling::of(command) else { return None };
    Some(match fan_out {
        FanOut::Sum => "the sum",
        FanOut::First | FanOut::FlushScripts => "`OK`, or the first error",
        FanOut::Concat => "all of them in a row",
        FanOut::Any => "that of one node that has a key",
        FanOut::Agree | FanOut::LoadScript => "all must be the same",
        FanOut::Least => "1 where all nodes have it",
        FanOut::Stop => "`OK` when one node had something to stop",
        FanOut::SlowLog => "newest first, as many as asked for",
        FanOut::Latest => "the latest and the longest of each event",
        FanOut::History => "oldest first",
        FanOut::Union => "all of them, each once",
        FanOut::Most | FanOut::MostPairs => "the largest",
    })
}

/// Commands without subcommands, subcommands, and commands that stand for all their subcommands.
fn entries() -> impl Iterator<Item = &'static Command> {
    commands::all().iter().flat_map(|command| {
        let whole =
            command.subcommands.is_empty() || !matches!(Handling::of(command), Handling::BySubcommand);
        if whole { vec![command] } else { command.subcommands.iter().collect() }
    })
}

fn shown(command: &Command) -> String {
    command.name.to_ascii_uppercase().replace('|', " ")
}

fn document() -> String {
    let mut by_way = BTreeMap::<&str, Vec<&Command>>::new();
    for command in entries() {
        by_way.entry(way(command).0).or_default().push(command);
    }
    let mut text = HEAD.to_owned();
    for (title, meaning) in WAYS {
        let commands = by_way.remove(title).unwrap_or_default();
        let _ = write!(text, "\n## {title}\n\n{meaning}\n\n");
        let (merging, plain): (Vec<&Command>, Vec<&Command>) =
            commands.into_iter().partition(|command| merged(command).is_some());
        let parts = [list(&plain), table(&merging)];
        text += &parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    }
    text
}

/// Names one after the other, by family.
fn list(commands: &[&Command]) -> String {
    let mut families = Vec::<(&str, Vec<String>)>::new();
    for command in commands {
        let family = command.group.name();
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, names)) => names.push(shown(command)),
            None => families.push((family, vec![shown(command)])),
        }
    }
    let mut text = String::new();
    for (family, names) in families {
        let _ = writeln!(text, "- {family}: `{}`", names.join("` `"));
    }
    text
}

fn table(commands: &[&Command]) -> String {
    if commands.is_empty() {
        return String::new();
    }
    let mut text = "| command | reply |\n|---|---|\n".to_owned();
    for command in commands {
        let _ = writeln!(text, "| `{}` | {} |", shown(command), merged(command).unwrap_or_default());
    }
    text
}

#[test]
fn the_document_is_what_the_proxy_does() {
    let expected = document();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    if actual != expected {
        let made = std::env::temp_dir().join("commands.md");
        std::fs::write(&made, &expected).unwrap();
        panic!("docs/commands.md differs from the table; what it should be is in {}", made.display());
    }
}

#[test]
fn every_command_has_one_place() {
    let text = document();
    for command in entries() {
        let name = format!("`{}`", shown(command));
        assert_eq!(
            text.lines().filter(|line| line.starts_with(['-', '|']) && line.contains(&name)).count(),
            1,
            "{name}"
        );
    }
    assert!(entries().count() > 300, "{}", entries().count());
}
