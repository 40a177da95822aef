//! Decides what to do with one request: answer it here, send it to one node, split it, or ask every node.
//!
//! It looks at how the command is served, which `handling` says, and at the request's arguments, and at nothing
//! else: which node serves a key is the dispatcher's business.
//!
//! Pure.

#[cfg(test)]
pub(crate) mod command_table;
pub(crate) mod fan_out;
pub(crate) mod gather;
pub(crate) mod grouping;
pub(crate) mod handling;
pub(crate) mod merge;
pub(crate) mod refusal;
pub(crate) mod refuse;
pub(crate) mod scripts;
pub(crate) mod serving;

use commands::{Command, Flags, KeyPositions, KeySpec};
use resp::Request;

use crate::plan::handling::{FanOut, Handling, Split};
use crate::plan::refusal::{Named, Refusal};
use crate::pubsub::subscriptions::topic::Kind;

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
    /// Tell settings of the proxy and of all nodes.
    Settings,
    /// Tell about the proxy: this subcommand of `PROXY`.
    Proxy(&'static Command),
    /// `MULTI` and what belongs to it.
    Transaction,
    /// Answer with an error.
    Refuse(Refusal),
}

/// What to do with `request`, whose first argument names `command`.
#[inline]
pub(crate) fn plan(command: &'static Command, request: &Request<'_>) -> Plan {
    if !command.arity_fits(request.len()) {
        return Plan::Refuse(Refusal::arity(command));
    }
    planned(command, Handling::of(command), request)
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
        Handling::Settings => Plan::Settings,
        Handling::Proxy => Plan::Proxy(command),
        Handling::Transaction => Plan::Transaction,
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
        Err(error) => Plan::Refuse(Refusal::keys(command, error)),
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
    planned(subcommand, Handling::of(subcommand), request)
}

/// Why this request is not sent to a node although it names keys: it is served nowhere, or one node alone would answer
/// it wrongly.
pub(crate) fn objection(command: &Command, request: &Request<'_>) -> Option<Refusal> {
    let refusal = match Handling::of(command) {
        Handling::Refuse(refusal) => Some(refusal),
        Handling::ByKeyUnless(objection) => objection(request),
        _ => None,
    };
    refusal.map(|refusal| refusal(Named { name: command.name }))
}

/// Whether a request of so many arguments goes to the node of its first one, whatever the others are.
pub(crate) fn goes_by_first_argument(command: &Command, args: usize) -> bool {
    matches!(Handling::of(command), Handling::ByKey)
        && command.keys == KeySpec::Range { first: 1, last: 1, step: 1 }
        && !command.flags.contains(Flags::BLOCKING)
        && command.arity_fits(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::refusal::unknown_command;
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
            ("PUBSUB CHANNELS", "Every(Union)"),
            ("PUBSUB NUMPAT", "Every(Most)"),
            ("PUBSUB NUMSUB a b", "Every(MostPairs)"),
            ("MULTI", "Transaction"),
            ("PING", "Local"),
            ("CLIENT SETINFO LIB-NAME x", "Local"),
            ("CONFIG GET maxmemory", "Settings"),
            ("CONFIG SET maxmemory 1", "Local"),
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
            ("MIGRATE host 6379 k 0 5000", "administers"),
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
