//! Decides what to do with one request: answer it here, send it to one node, split it, or ask every node.
//!
//! It looks at the command's row in the table and at the request's arguments, and at nothing else: which
//! node serves a key is the dispatcher's business. What to do with a command that does not follow from its
//! row (is it split? asked of every node?) is decided once per command, so a request costs one load.
//!
//! Pure.

use std::sync::LazyLock;

use cluster::hash_tag;
use commands::{Class, Command, Flags, KeyError, KeyPositions};
use resp::Request;

use crate::subscriptions::topic::Kind;

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Answer it in the proxy.
    Local,
    /// Send it as it is to the node that serves its keys; there is at least one.
    One(KeyPositions),
    /// Send it to the node that serves its keys, over a link of its own: it waits for an element.
    Block(KeyPositions),
    /// One request of the same command per node, with the keys that node serves.
    Split(Split),
    /// The same request to every routable node.
    Every(FanOut),
    /// It concerns no key: send it to one node, under this name if there is one.
    Keyless(Option<&'static str>),
    /// A page of the walk over all nodes.
    Scan,
    /// Send it to the node where its channel lives.
    Publish,
    /// Have the client listen.
    Subscribe(Kind),
    /// Have it listen no longer; without names to nothing of this kind.
    Unsubscribe(Kind),
    /// Tell the figures of the proxy and of all nodes.
    Info,
    /// Answer with an error.
    Refuse(Refusal),
}

/// A command whose keys may live on several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// `MGET`: values in the order of the keys.
    Values,
    /// `MSET`: key and value, key and value.
    Pairs,
    /// `DEL` and its kin: the counts add up.
    Counts,
}

/// A command that concerns all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FanOut {
    /// `DBSIZE`.
    Sum,
    /// `FLUSHALL`.
    First,
    /// `KEYS`.
    Concat,
    /// `RANDOMKEY`.
    Any,
    /// `FUNCTION LOAD`: every node must answer the same.
    Agree,
    /// `SCRIPT LOAD`: the same, and nodes that come later are given the script too.
    LoadScript,
    /// `SCRIPT FLUSH`.
    FlushScripts,
    /// `SCRIPT EXISTS`: a script that one node lacks does not exist.
    Least,
    /// `SCRIPT KILL`: it is enough that one node had something to stop.
    Stop,
    /// `SLOWLOG GET`: newest first, as many as were asked for.
    SlowLog,
    /// `LATENCY LATEST`: one entry per event.
    Latest,
    /// `LATENCY HISTORY`: oldest first.
    History,
    /// `PUBSUB NUMSUB`.
    SumPairs,
    /// `PUBSUB NUMPAT`.
    Most,
}

/// Why a request cannot be served. `Display` is the text of the error reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("ERR wrong number of arguments for '{}' command", .0.name)]
    Arity(Named),
    #[error("ERR {0}")]
    Keys(KeyError),
    #[error("ERR unknown subcommand '{given}'. Try {} HELP.", command.to_ascii_uppercase())]
    Subcommand { command: &'static str, given: String },
    #[error("ERR '{}' without a key cannot be routed: the proxy chooses the node by key", .0.name)]
    NoKey(Named),
    #[error("ERR '{}' names another database; the cluster has only database 0", .0.name)]
    Database(Named),
    #[error("ERR '{}' with a pattern reads keys that may be on other nodes; give the pattern the {{tag}} of the key", .0.name)]
    Pattern(Named),
    #[error("ERR '{}' is not served by the proxy: a transaction needs a connection of its own; nothing of it is executed", .0.name)]
    Transaction(Named),
    #[error("ERR '{}' administers one server; ask the node itself", .0.name)]
    Admin(Named),
}

/// A command by its name, for error texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    name: &'static str,
}

impl Refusal {
    /// Too few or too many arguments.
    pub(crate) fn arity(command: &Command) -> Self {
        Self::Arity(Named { name: command.name })
    }

    /// `command` has no subcommand of the given name.
    pub(crate) fn subcommand(command: &Command, given: &[u8]) -> Self {
        /// As much of it as Redis shows.
        const SHOWN: usize = 128;
        let given = String::from_utf8_lossy(&given[..given.len().min(SHOWN)]).into_owned();
        Self::Subcommand { command: command.name, given }
    }
}

/// What a command's row decides about all its requests.
#[derive(Debug, Clone, Copy)]
enum Handling {
    Local,
    ByKey,
    /// By key, unless the arguments ask for what only one server alone can do.
    ByKeyUnless(Objection),
    /// By key; without one, on one node under this name.
    ByKeyOr(&'static str),
    Keyless,
    Split(Split),
    Every(FanOut),
    Scan,
    Publish,
    Subscribe(Kind),
    Unsubscribe(Kind),
    Info,
    Refuse(fn(Named) -> Refusal),
    /// Its subcommands differ.
    BySubcommand,
}

/// Looks for what a request must not ask for.
type Objection = fn(&Request<'_>) -> Option<fn(Named) -> Refusal>;

/// One entry per command and subcommand.
static HANDLING: LazyLock<Vec<Handling>> = LazyLock::new(|| {
    let mut handling = vec![Handling::ByKey; commands::ID_COUNT];
    for command in commands::all() {
        handling[command.id.index()] = of_command(command);
        for subcommand in command.subcommands {
            let local = LOCAL.contains(&command.name);
            handling[subcommand.id.index()] = if local { Handling::Local } else { of_subcommand(subcommand) };
        }
    }
    handling
});

/// What the proxy answers by itself. Everything that a client library sends when it connects is here, so no
/// client fails at its handshake.
const LOCAL: [&str; 18] = [
    "ping",
    "echo",
    "quit",
    "reset",
    "hello",
    "auth",
    "select",
    "client",
    "command",
    "config",
    "cluster",
    "role",
    "module",
    "time",
    "wait",
    "waitaof",
    "readonly",
    "readwrite",
];

fn of_command(command: &Command) -> Handling {
    match command.name {
        name if LOCAL.contains(&name) => Handling::Local,
        "mget" => Handling::Split(Split::Values),
        "mset" => Handling::Split(Split::Pairs),
        "del" | "unlink" | "exists" | "touch" => Handling::Split(Split::Counts),
        "dbsize" => Handling::Every(FanOut::Sum),
        "flushall" | "flushdb" => Handling::Every(FanOut::First),
        "keys" => Handling::Every(FanOut::Concat),
        "randomkey" => Handling::Every(FanOut::Any),
        "scan" => Handling::Scan,
        "info" => Handling::Info,
        "copy" => Handling::ByKeyUnless(names_another_database),
        "move" | "swapdb" => Handling::Refuse(Refusal::Database),
        "sort" | "sort_ro" => Handling::ByKeyUnless(looks_at_other_keys),
        // Without a key the node is not known, so nothing may be written: it would never be found again.
        "eval" | "eval_ro" => Handling::ByKeyOr("EVAL_RO"),
        "evalsha" | "evalsha_ro" => Handling::ByKeyOr("EVALSHA_RO"),
        "fcall" | "fcall_ro" => Handling::ByKeyOr("FCALL_RO"),
        "lolwut" => Handling::Keyless,
        _ if !command.subcommands.is_empty() => Handling::BySubcommand,
        _ => of_class(command),
    }
}

fn of_subcommand(subcommand: &Command) -> Handling {
    match subcommand.name {
        "script|load" => Handling::Every(FanOut::LoadScript),
        "script|flush" => Handling::Every(FanOut::FlushScripts),
        "script|exists" => Handling::Every(FanOut::Least),
        "script|kill" | "function|kill" => Handling::Every(FanOut::Stop),
        "function|load" | "function|delete" | "function|flush" | "function|restore" => {
            Handling::Every(FanOut::Agree)
        }
        // All nodes have the same ones.
        "script|show" | "function|list" | "function|dump" => Handling::Keyless,
        "slowlog|get" | "commandlog|get" => Handling::Every(FanOut::SlowLog),
        "slowlog|len" | "commandlog|len" | "latency|reset" => Handling::Every(FanOut::Sum),
        "slowlog|reset" | "commandlog|reset" | "memory|purge" => Handling::Every(FanOut::First),
        "latency|latest" => Handling::Every(FanOut::Latest),
        "latency|history" => Handling::Every(FanOut::History),
        "script|debug" | "function|stats" => Handling::Refuse(Refusal::Admin),
        _ if subcommand.short_name() == "help" => Handling::Keyless,
        _ => of_class(subcommand),
    }
}

/// `COPY … DB n`.
fn names_another_database(request: &Request<'_>) -> Option<fn(Named) -> Refusal> {
    let mut options = request.args().skip(3);
    options.find(|option| option.eq_ignore_ascii_case(b"DB"))?;
    (options.next()? != b"0").then_some(Refusal::Database as fn(Named) -> Refusal)
}

/// `SORT … BY pattern GET pattern`: a pattern without a `*` names no key, and one with the key's own tag names
/// keys of the same node.
fn looks_at_other_keys(request: &Request<'_>) -> Option<fn(Named) -> Refusal> {
    let key = request.arg(1);
    let is_near = |pattern: &[u8]| {
        !pattern.contains(&b'*') || (hash_tag(pattern) != pattern && hash_tag(pattern) == hash_tag(key))
    };
    let mut options = request.args().skip(2);
    while let Some(option) = options.next() {
        let takes_pattern = [&b"BY"[..], b"GET"].iter().any(|name| option.eq_ignore_ascii_case(name));
        if takes_pattern && !options.next().is_none_or(is_near) {
            return Some(Refusal::Pattern);
        }
    }
    None
}

fn of_class(command: &Command) -> Handling {
    match command.class {
        Class::Read | Class::Write | Class::Scripting | Class::Blocking => Handling::ByKey,
        Class::Transaction => Handling::Refuse(Refusal::Transaction),
        Class::PubSub => of_pubsub(command),
        Class::Admin | Class::Connection => Handling::Refuse(Refusal::Admin),
    }
}

fn of_pubsub(command: &Command) -> Handling {
    let kind =
        |name: fn(Kind) -> &'static str| Kind::ALL.into_iter().find(|kind| name(*kind) == command.name);
    if let Some(kind) = kind(Kind::subscribe) {
        return Handling::Subscribe(kind);
    }
    if let Some(kind) = kind(Kind::unsubscribe) {
        return Handling::Unsubscribe(kind);
    }
    match command.name {
        "publish" | "spublish" => Handling::Publish,
        // A channel lives on one node.
        "pubsub|channels" | "pubsub|shardchannels" => Handling::Every(FanOut::Concat),
        "pubsub|numsub" | "pubsub|shardnumsub" => Handling::Every(FanOut::SumPairs),
        // A pattern lives on all of them.
        "pubsub|numpat" => Handling::Every(FanOut::Most),
        "pubsub|help" => Handling::Every(FanOut::First),
        _ => Handling::Refuse(Refusal::Admin),
    }
}

/// What to do with `request`, whose first argument names `command`.
#[inline]
pub(crate) fn plan(command: &'static Command, request: &Request<'_>) -> Plan {
    if !command.arity_fits(request.len()) {
        return Plan::Refuse(Refusal::arity(command));
    }
    planned(command, HANDLING[command.id.index()], request)
}

#[inline]
fn planned(command: &'static Command, handling: Handling, request: &Request<'_>) -> Plan {
    match handling {
        Handling::ByKey => by_key(command, request),
        Handling::ByKeyUnless(objection) => match objection(request) {
            Some(refusal) => Plan::Refuse(refusal(Named { name: command.name })),
            None => by_key(command, request),
        },
        Handling::ByKeyOr(name) => match by_key(command, request) {
            Plan::Refuse(Refusal::NoKey(_)) => Plan::Keyless(Some(name)),
            plan => plan,
        },
        Handling::Keyless => Plan::Keyless(None),
        Handling::Local => Plan::Local,
        Handling::Split(Split::Pairs) if request.len().is_multiple_of(2) => {
            Plan::Refuse(Refusal::arity(command))
        }
        Handling::Split(split) => Plan::Split(split),
        Handling::Every(fan_out) => Plan::Every(fan_out),
        Handling::Scan => Plan::Scan,
        Handling::Publish => Plan::Publish,
        Handling::Subscribe(kind) => Plan::Subscribe(kind),
        Handling::Unsubscribe(kind) => Plan::Unsubscribe(kind),
        Handling::Info => Plan::Info,
        Handling::Refuse(refusal) => Plan::Refuse(refusal(Named { name: command.name })),
        Handling::BySubcommand => by_subcommand(command, request),
    }
}

#[inline]
fn by_key(command: &'static Command, request: &Request<'_>) -> Plan {
    let named = Named { name: command.name };
    match command.keys(request.len(), |index| request.arg(index)) {
        Ok(keys) if keys.len() == 0 => Plan::Refuse(Refusal::NoKey(named)),
        Ok(keys) if command.flags.contains(Flags::BLOCKING) && blocks(command, request) => Plan::Block(keys),
        Ok(keys) => Plan::One(keys),
        Err(KeyError::Arity { .. }) => Plan::Refuse(Refusal::arity(command)),
        Err(error) => Plan::Refuse(Refusal::Keys(error)),
    }
}

/// Whether the request of a blocking command may wait: an `XREAD` or `XREADGROUP` only when it asks to. Options end
/// where the streams begin.
#[cold]
fn blocks(command: &Command, request: &Request<'_>) -> bool {
    if !command.name.starts_with("xread") {
        return true;
    }
    let mut options = request.args().take_while(|arg| !arg.eq_ignore_ascii_case(b"STREAMS"));
    options.any(|arg| arg.eq_ignore_ascii_case(b"BLOCK"))
}

fn by_subcommand(command: &'static Command, request: &Request<'_>) -> Plan {
    let given = request.get(1).unwrap_or_default();
    let Some(subcommand) = command.subcommand(given) else {
        return Plan::Refuse(Refusal::subcommand(command, given));
    };
    if !subcommand.arity_fits(request.len()) {
        return Plan::Refuse(Refusal::arity(subcommand));
    }
    planned(subcommand, HANDLING[subcommand.id.index()], request)
}

/// Whether the proxy serves the command at all, for `COMMAND` to tell.
pub(crate) fn is_served(command: &Command) -> bool {
    !matches!(HANDLING[command.id.index()], Handling::Refuse(_) | Handling::BySubcommand)
}

/// The error reply for a command that no Redis knows, in Redis' words.
pub(crate) fn unknown_command(request: &Request<'_>) -> String {
    /// Redis shows this many bytes of the name, and of all arguments together.
    const SHOWN: usize = 128;
    let cut =
        |bytes: &[u8], most: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
    let mut args = String::new();
    for arg in request.args().skip(1) {
        if args.len() >= SHOWN {
            break;
        }
        args += &format!("'{}' ", cut(arg, SHOWN - args.len()));
    }
    format!("ERR unknown command '{}', with args beginning with: {args}", cut(request.arg(0), SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp::{Limits, RequestScanner};

    /// What is planned for an inline request.
    fn planned(line: &str) -> String {
        let line = format!("{line}\r\n");
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(line.as_bytes()).unwrap().unwrap();
        let request = scanner.request(line.as_bytes());
        let Some(command) = commands::lookup(request.arg(0)) else { return unknown_command(&request) };
        match plan(command, &request) {
            Plan::One(keys) => format!("one {:?}", keys.collect::<Vec<_>>()),
            Plan::Block(keys) => format!("block {:?}", keys.collect::<Vec<_>>()),
            Plan::Refuse(refusal) => refusal.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_of_command_has_its_plan() {
        for (line, expected) in [
            ("GET k", "one [1]"),
            ("set k v EX 10", "one [1]"),
            ("RENAME a b", "one [1, 2]"),
            ("ZUNIONSTORE d 2 a b", "one [1, 3, 4]"),
            ("OBJECT ENCODING k", "one [2]"),
            ("MEMORY USAGE k", "one [2]"),
            ("EVAL x y k", "ERR value is not an integer or out of range"),
            ("EVAL x 1 k", "one [3]"),
            ("EVAL x 0", "Keyless(Some(\"EVAL_RO\"))"),
            ("EVALSHA_RO x 0 arg", "Keyless(Some(\"EVALSHA_RO\"))"),
            ("FUNCTION LIST", "Keyless(None)"),
            ("OBJECT HELP", "Keyless(None)"),
            ("SCRIPT LOAD x", "Every(LoadScript)"),
            ("SCRIPT EXISTS x y", "Every(Least)"),
            ("SLOWLOG GET 5", "Every(SlowLog)"),
            ("COPY a b REPLACE", "one [1, 2]"),
            ("COPY a b DB 0", "one [1, 2]"),
            ("SORT l BY nosort GET # STORE d", "one [1, 7]"),
            ("SORT {t}l BY {t}w_* GET {t}o_*->f", "one [1]"),
            ("XREAD COUNT 2 STREAMS s 0", "one [4]"),
            ("XREAD BLOCK 0 STREAMS s 0", "block [4]"),
            ("BLPOP a b 0", "block [1, 2]"),
            ("MGET a b", "Split(Values)"),
            ("MSET a 1 b 2", "Split(Pairs)"),
            ("DEL a b", "Split(Counts)"),
            ("DBSIZE", "Every(Sum)"),
            ("FLUSHALL ASYNC", "Every(First)"),
            ("KEYS *", "Every(Concat)"),
            ("SCAN 0 COUNT 10", "Scan"),
            ("PUBLISH c m", "Publish"),
            ("PSUBSCRIBE a b", "Subscribe(Pattern)"),
            ("SUNSUBSCRIBE", "Unsubscribe(Shard)"),
            ("PUBSUB CHANNELS", "Every(Concat)"),
            ("PUBSUB NUMPAT", "Every(Most)"),
            ("PUBSUB NUMSUB a b", "Every(SumPairs)"),
            ("PING", "Local"),
            ("CLIENT SETINFO LIB-NAME x", "Local"),
        ] {
            assert_eq!(planned(line), expected, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_in_words() {
        for (line, expected) in [
            ("GET", "ERR wrong number of arguments for 'get' command"),
            ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
            ("OBJECT NOPE k", "ERR unknown subcommand 'NOPE'. Try OBJECT HELP."),
            ("OBJECT ENCODING", "ERR wrong number of arguments for 'object|encoding' command"),
            ("ZUNION 5 a", "ERR syntax error"),
            ("NOPE a b", "ERR unknown command 'NOPE', with args beginning with: 'a' 'b' "),
        ] {
            assert_eq!(planned(line), expected, "{line}");
        }
        for (line, word) in [
            ("COPY a b DB 1", "only database 0"),
            ("MOVE a 1", "only database 0"),
            ("SORT l BY w_*", "other nodes"),
            ("SORT l GET # GET {x}o_*", "other nodes"),
            ("SORT_RO {t}l BY {u}w_*", "other nodes"),
            ("MEMORY STATS", "administers"),
            ("MULTI", "transaction"),
            ("SHUTDOWN", "administers"),
        ] {
            let refused = planned(line);
            assert!(refused.starts_with("ERR ") && refused.contains(word), "{line}: {refused}");
        }
    }

    #[test]
    fn every_command_of_the_table_has_a_plan_that_does_not_panic() {
        for command in commands::all() {
            for extra in 0..6 {
                planned(&format!("{}{}", command.name, " 1".repeat(extra)));
            }
        }
    }
}
