//! How each command is served, as far as its name decides: decided once per command, so a request costs one load.
//!
//! Most of it follows from the command's row in the table; what does not is here, in the order of the table's
//! families. `docs/commands.md` is made from this.
//!
//! Pure.

use std::sync::LazyLock;

use cluster::hash_tag;
use commands::{Class, Command};
use resp::Request;

use crate::plan::refusal::{Named, Refusal};
use crate::pubsub::subscriptions::topic::Kind;

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
    /// `PUBSUB CHANNELS`.
    Union,
    /// `PUBSUB NUMSUB`.
    MostPairs,
    /// `PUBSUB NUMPAT`.
    Most,
}

/// What a command's row decides about all its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handling {
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
    Settings,
    Proxy,
    Transaction,
    Refuse(fn(Named) -> Refusal),
    /// Its subcommands differ.
    BySubcommand,
}

impl Handling {
    /// How `command` is served.
    #[inline]
    pub(crate) fn of(command: &Command) -> Self {
        HANDLING[command.id.index()]
    }
}

/// Looks for what a request must not ask for.
pub(crate) type Objection = fn(&Request<'_>) -> Option<fn(Named) -> Refusal>;

/// One entry per command and subcommand.
static HANDLING: LazyLock<Vec<Handling>> = LazyLock::new(|| {
    let mut handling = vec![Handling::ByKey; commands::ID_COUNT];
    for command in commands::all() {
        handling[command.id.index()] = of_command(command);
        for subcommand in command.subcommands {
            handling[subcommand.id.index()] = match command.name {
                name if LOCAL.contains(&name) => Handling::Local,
                "proxy" => Handling::Proxy,
                _ => of_subcommand(subcommand),
            };
        }
    }
    handling
});

/// What the proxy answers by itself. Everything that a client library sends when it connects is here, so no
/// client fails at its handshake.
const LOCAL: [&str; 17] = [
    "ping",
    "echo",
    "quit",
    "reset",
    "hello",
    "auth",
    "select",
    "client",
    "command",
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
        // It would take a key out of the cluster, or to a node where nobody looks for it, and halt a shared link.
        "migrate" => Handling::Refuse(Refusal::Admin),
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
        "config|get" => Handling::Settings,
        name if name.starts_with("config|") => Handling::Local,
        "script|debug" | "acl|whoami" => Handling::Local,
        "function|stats" => Handling::Refuse(Refusal::Admin),
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
        Class::Transaction => Handling::Transaction,
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
        // A channel lives on one node, but for those that tell of keys: they are on all of them.
        "pubsub|channels" | "pubsub|shardchannels" => Handling::Every(FanOut::Union),
        "pubsub|numsub" | "pubsub|shardnumsub" => Handling::Every(FanOut::MostPairs),
        // A pattern lives on all of them.
        "pubsub|numpat" => Handling::Every(FanOut::Most),
        "pubsub|help" => Handling::Every(FanOut::First),
        _ => Handling::Refuse(Refusal::Admin),
    }
}

/// Whether the proxy serves the command at all, for `COMMAND` to tell.
pub(crate) fn is_served(command: &Command) -> bool {
    !matches!(Handling::of(command), Handling::Refuse(_) | Handling::BySubcommand)
}
