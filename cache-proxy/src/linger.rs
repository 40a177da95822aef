//! When replies are written to clients: when every reply that a client is owed is there, or 16 KiB are, or they have
//! waited 1 to 2 ms.
//!
//! Writing at each reply would make one and a half writes per request of a pipeline. What is complete *lingers* for
//! what is still owed; one timer serves all clients of a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::dispatch::Dispatcher;
use crate::signal::Signal;
use crate::target::ClientId;
use crate::worker::Worker;

/// A client's complete replies are written at once from this size on, even while others are owed.
const WRITE_AT: usize = 16 * 1024;

/// How long complete replies wait, at least, for others of the same pipeline; at most twice as long. The
/// runtime's timers tick in milliseconds.
const LINGER: Duration = Duration::from_millis(1);

/// The clients of a worker whose replies wait for others.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    /// Those that have, or had, such replies.
    clients: RefCell<Vec<ClientId>>,
    begun: Signal,
    /// Counts the looks at them.
    looks: Cell<u64>,
}

/// Writes to the clients whose replies have waited for a whole `LINGER`. One that began to wait since the last
/// look is left for the next.
pub(crate) async fn write_lingering(worker: Rc<Worker>) {
    loop {
        let Lingering { clients, begun, looks } = &worker.lingering;
        begun.raised().await;
        while !clients.borrow().is_empty() {
            sleep(LINGER).await;
            let now = looks.get() + 1;
            looks.set(now);
            let mut dispatcher = worker.dispatcher.borrow_mut();
            clients.borrow_mut().retain(|id| worker.lingers_on(&mut dispatcher, *id, now));
        }
    }
}

impl Worker {
    /// Writes to a client now, or lets its replies wait a moment for those still owed.
    #[inline]
    pub(crate) fn settle_client(self: &Rc<Self>, dispatcher: &mut Dispatcher, id: ClientId) {
        let Some(client) = dispatcher.client(id) else { return };
        client.listed = false;
        if client.owed() == 0 || client.unwritten().len() >= WRITE_AT || client.closing {
            return self.write_to_client(dispatcher, id);
        }
        if client.unwritten().is_empty() {
            // Replies that it does not want make room for more requests, too, and no write will tell its session.
            return self.rouse_if_paused(dispatcher, id);
        }
        if client.lingers_since.is_none() {
            client.lingers_since = Some(self.lingering.looks.get());
            if !std::mem::replace(&mut client.in_lingering, true) {
                self.lingering.clients.borrow_mut().push(id);
                self.lingering.begun.raise();
            }
        }
    }

    /// Looks at a lingering client; `false`: it is no longer one.
    fn lingers_on(self: &Rc<Self>, dispatcher: &mut Dispatcher, id: ClientId, now: u64) -> bool {
        let Some(client) = dispatcher.client(id) else { return false };
        if client.lingers_since.is_some_and(|since| since + 1 < now) {
            self.write_to_client(dispatcher, id);
        }
        let Some(client) = dispatcher.client(id) else { return false };
        client.in_lingering = client.lingers_since.is_some();
        client.in_lingering
    }

    /// Writes what a client can take now. What it cannot take is written when its socket has room.
    #[inline]
    pub(crate) fn write_to_client(self: &Rc<Self>, dispatcher: &mut Dispatcher, id: ClientId) {
        let sockets = self.sockets.borrow();
        let Some(Some(socket)) = sockets.get(id.index as usize) else { return };
        let Dispatcher { clients, spare, .. } = dispatcher;
        let client = clients.get_mut(id.index as usize).filter(|client| client.serial == id.serial);
        let Some(client) = client else { return };
        client.lingers_since = None;
        let had_some = !client.unwritten().is_empty();
        let mut total = 0;
        while !client.unwritten().is_empty() {
            match socket.writer.try_write(client.unwritten()) {
                Ok(written) => {
                    client.mark_written(written, spare);
                    total += written as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    socket.blocked.set(true);
                    client.give_back_room();
                    break;
                }
                Err(_) => {
                    socket.broken.set(true);
                    break;
                }
            }
        }
        let leaving = self.leaving.get();
        if leaving && had_some && client.is_settled() {
            socket.parting.set(true);
        }
        if socket.blocked.get() || socket.broken.get() || socket.paused.get() || client.closing || leaving {
            socket.attention.raise();
        }
        if !client.halts.is_empty() {
            dispatcher.resume_links_of(id);
            self.settle_rare(dispatcher);
        }
        dispatcher.stats.client_bytes_out += total;
    }

    /// Has a session that does not read look at its client, if that may send more now.
    fn rouse_if_paused(&self, dispatcher: &mut Dispatcher, id: ClientId) {
        if let Some(Some(socket)) = self.sockets.borrow().get(id.index as usize)
            && socket.paused.get()
            && dispatcher.may_read(id)
        {
            socket.attention.raise();
        }
    }
}
