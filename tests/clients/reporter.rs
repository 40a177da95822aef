//! Runs all clients at once, each in a thread, and collects what they tell.
//!
//! A client that hangs cannot hold the test up: what it has not told in time counts as failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, RECONNECT, Results};

/// For all steps before the restart, and again for the one after it. The clients give up a step after 20 s, and in
/// good order all of them together take less than that.
const PATIENCE: Duration = Duration::from_secs(100);

/// What a client tells.
enum Event {
    Step(String, Result<(), String>),
    /// All that can be done before the restart is done.
    Ready,
    Ended,
}

/// A client's side of the conversation.
pub(super) struct Reporter {
    client: usize,
    /// Where the client connects.
    pub(super) port: u16,
    pub(super) steps: &'static [&'static str],
    events: Sender<(usize, Event)>,
    restarted: Receiver<()>,
}

impl Reporter {
    /// Takes a step if it is asked for; a panic is its failure.
    pub(super) fn step(&self, name: &str, work: impl FnOnce()) {
        if self.steps.contains(&name) {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a text").to_owned()
            });
            self.tell(name, result);
        }
    }

    pub(super) fn tell(&self, step: &str, result: Result<(), String>) {
        self.send(Event::Step(step.to_owned(), result));
    }

    /// Says that this client is ready for the restart of the proxies, and returns after it.
    pub(super) fn until_restarted(&self) {
        self.send(Event::Ready);
        // An error means that nobody waits for this client any more.
        let _ = self.restarted.recv();
    }

    fn send(&self, event: Event) {
        // When nobody listens any more, the test has said so already.
        let _ = self.events.send((self.client, event));
    }
}

/// What every client did, in their order. `restart` is called when all are ready for it.
pub(super) fn try_all(
    clients: &[Client],
    port: u16,
    steps: &'static [&'static str],
    restart: impl FnOnce(),
) -> Vec<Results> {
    let (events, told) = channel();
    let go: Vec<Sender<()>> = clients
        .iter()
        .enumerate()
        .map(|(client, Client { try_out, .. })| {
            let (go, restarted) = channel();
            let reporter = Reporter { client, port, steps, events: events.clone(), restarted };
            let try_out = *try_out;
            thread::spawn(move || {
                try_out(&reporter);
                reporter.send(Event::Ended);
            });
            go
        })
        .collect();
    let mut results: Vec<Results> = clients.iter().map(|_| Results::new()).collect();
    collect(&told, &mut results, |event| matches!(event, Event::Ready | Event::Ended));
    restart();
    for client in &go {
        // One that has ended early is told by its missing results.
        let _ = client.send(());
    }
    collect(&told, &mut results, |event| matches!(event, Event::Ended));
    for results in &mut results {
        results.entry(RECONNECT.to_owned()).or_insert_with(|| Err("it did not come that far".to_owned()));
    }
    results
}

/// Keeps what the clients tell until each of them has told a last event, or until the time is over.
fn collect(told: &Receiver<(usize, Event)>, results: &mut [Results], is_last: impl Fn(&Event) -> bool) {
    let began = Instant::now();
    let mut waiting_for: Vec<usize> = (0..results.len()).collect();
    while !waiting_for.is_empty() {
        match told.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            Ok((client, event)) => {
                if is_last(&event) {
                    waiting_for.retain(|other| *other != client);
                }
                if let Event::Step(step, result) = event {
                    results[client].insert(step, result);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
