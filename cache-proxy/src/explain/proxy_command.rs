//! `PROXY …`: the command by which the proxy tells about itself. It is FastCache's own; everything else that a
//! client sends means what it means in Redis.

use commands::Command;
use resp::{Encoder, Request};

use crate::dispatch::{Dispatcher, Job};
use crate::explain::question::{MOST_BYTES, Question, Unanswered, too_many};
use crate::outbox::{Inquiry, RareWork};
use crate::plan::refuse::NO_VIEW;
use crate::target::Target;

/// Slow requests that `PROXY SLOWLOG GET` tells of when it is not said how many: as Redis' `SLOWLOG GET`.
pub(crate) const SLOW_REQUESTS: usize = 10;

const SYNTAX: &str = "syntax error; PROXY HELP shows the forms";

/// Each form with its arguments and what it does.
const FORMS: [(&str, &str, &str); 8] = [
    (
        "EXPLAIN",
        " <key> [<key> ...]",
        "Slot, owner and serving node of each key, and why that node serves it.",
    ),
    ("NODES", "", "What the view says of each node, and what this proxy has seen of it."),
    ("VIEW", "", "The view this proxy routes by, and who stands in for whom."),
    (
        "SIMULATE DOWN",
        " <node> [<node> ...]",
        "Share of the slots and of the present load that would move, and to which nodes, if they were drained.",
    ),
    (
        "SLOWLOG GET",
        " [<count>]",
        "The newest slow requests (default: 10, -1: all): total time and the node's share.",
    ),
    ("SLOWLOG LEN", "", "How many slow requests are kept."),
    ("SLOWLOG RESET", "", "Forgets the slow requests."),
    ("HELP", "", "Prints this help."),
];

/// The reply to `PROXY HELP`, in the form of Redis' helps.
fn help(to: &mut Encoder<'_>) {
    to.array(1 + 2 * FORMS.len());
    to.simple(&format!("{} <subcommand> [<arg> ...]. Subcommands are:", "PROXY"));
    for (name, arguments, about) in FORMS {
        to.simple(&format!("{name}{arguments}"));
        to.simple(&format!("    {about}"));
    }
}

impl Dispatcher {
    /// Takes a `PROXY …` request, whose subcommand and arity have been checked.
    #[cold]
    pub(crate) fn tell_of_proxy(&mut self, command: &'static Command, job: &Job<'_>) {
        if command.short_name() == "help" {
            let mut reply = Vec::new();
            help(&mut Encoder::new(&mut reply, job.protocol));
            return self.deliver(job.target, &reply);
        }
        match question(command, job.request) {
            Ok(question) => {
                let inquiry = Inquiry { question, target: job.target, protocol: job.protocol };
                self.outbox.rare.push(RareWork::Ask(inquiry));
            }
            Err(text) => self.fail(job.target, &format!("ERR {text}")),
        }
    }

    /// Gives the answer to whoever asked.
    pub(crate) fn told_of_proxy(&mut self, target: Target, answer: Result<Vec<u8>, Unanswered>) {
        match answer {
            Ok(reply) => self.deliver(target, &reply),
            Err(Unanswered::NoView) => self.fail(target, NO_VIEW),
            Err(why) => self.fail(target, &format!("ERR {why}")),
        }
    }
}

/// What a request asks, or why that cannot be told. What is too much is not copied first.
fn question(command: &Command, request: &Request<'_>) -> Result<Question, String> {
    let rest = || request.args().skip(2);
    if request.wire().len() > MOST_BYTES {
        return Err(format!("the question is longer than {MOST_BYTES} bytes"));
    }
    // After DOWN, too.
    let words = if command.short_name() == "simulate" { 3 } else { 2 };
    if let Some(text) = too_many(request.len().saturating_sub(words)) {
        return Err(text);
    }
    match command.short_name() {
        "explain" => Ok(Question::Explain(rest().map(<[u8]>::to_vec).collect())),
        "nodes" => Ok(Question::Nodes),
        "view" => Ok(Question::View),
        "simulate" if request.arg(2).eq_ignore_ascii_case(b"DOWN") => {
            let ids = rest().skip(1).map(|id| String::from_utf8_lossy(id).into_owned());
            Ok(Question::Simulate(ids.collect()))
        }
        "slowlog" => slow_log(request).map_err(str::to_owned),
        _ => Err(SYNTAX.to_owned()),
    }
}

fn slow_log(request: &Request<'_>) -> Result<Question, &'static str> {
    let word = request.arg(2).to_ascii_lowercase();
    match (word.as_slice(), request.get(3)) {
        (b"get", None) => Ok(Question::SlowLog(SLOW_REQUESTS)),
        (b"get", Some(count)) if request.len() == 4 => slow_requests(count).map(Question::SlowLog),
        (b"len", None) => Ok(Question::SlowLogLen),
        (b"reset", None) => Ok(Question::SlowLogReset),
        _ => Err(SYNTAX),
    }
}

/// How many slow requests are asked for; -1 is all of them.
pub(crate) fn slow_requests(count: &[u8]) -> Result<usize, &'static str> {
    match std::str::from_utf8(count).ok().and_then(|text| text.parse::<i64>().ok()) {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| "count should be greater than or equal to -1"),
        None => Err("value is not an integer or out of range"),
    }
}
