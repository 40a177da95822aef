//! Back-pressure from a node to its clients: who feeds a link that does not drain is read no further until it has.
//!
//! Pure.

use crate::dispatch::Dispatcher;
use crate::link::LinkId;
use crate::outbox::RareWork;
use crate::target::{ClientId, Receiver, Target};

/// A link with this many bytes on their way stops the clients that feed it …
pub(crate) const CHOKE_AT: usize = 4 * 1024 * 1024;

/// … until it is down to this many.
const RELEASE_AT: usize = 1024 * 1024;

impl Dispatcher {
    /// Stops reading the client behind `target` when the link has too much on its way.
    #[inline]
    pub(crate) fn choke_if_full(&mut self, id: LinkId, target: Target) {
        if self.links[id].pipeline.held_bytes() > CHOKE_AT {
            self.choke(id, target);
        }
    }

    /// Stops reading the client behind `target` until the link has drained.
    #[cold]
    fn choke(&mut self, link: LinkId, target: Target) {
        if let Some(id) = self.client_behind(target)
            && self.choke_client(link, id)
        {
            self.links[link].traffic.choked.add(1);
        }
    }

    /// Stops reading a client until the link has drained; `false`: it is not read already. What a large value waits for
    /// on its ordinary way is not counted.
    pub(crate) fn choke_client(&mut self, link: LinkId, id: ClientId) -> bool {
        let Some(client) = self.client(id).filter(|client| !client.choked) else { return false };
        client.choked = true;
        self.links[link].choked.push(id);
        true
    }

    pub(crate) fn client_behind(&self, mut target: Target) -> Option<ClientId> {
        loop {
            match target.receiver() {
                Receiver::Client(id, _) => return Some(id),
                Receiver::Part(gather, _) => target = self.gathers.get(gather as usize)?.target,
                Receiver::Unit(unit) => target = self.units.get(unit as usize)?.target,
                Receiver::Handshake
                | Receiver::Nobody
                | Receiver::Subscription(_)
                | Receiver::Figures(..) => return None,
            }
        }
    }

    /// Lets the clients go on that a link had stopped, once it has drained.
    #[inline]
    pub(crate) fn release_if_drained(&mut self, id: LinkId) {
        let link = &self.links[id];
        if !link.choked.is_empty() && link.pipeline.held_bytes() < RELEASE_AT {
            self.release(id);
        }
    }

    /// Lets the clients go on that a link had stopped.
    pub(crate) fn release(&mut self, link: LinkId) {
        for id in std::mem::take(&mut self.links[link].choked) {
            if let Some(client) = self.client(id) {
                client.choked = false;
                self.outbox.rare.push(RareWork::Rouse(id));
            }
        }
    }
}
