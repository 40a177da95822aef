//! What happens in the simulation, and how often.

use proptest::prelude::*;

pub(super) const NODES: usize = 4;
pub(super) const CLIENTS: usize = 3;
const KEYS: u32 = 40;

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A client asks for one key.
    Get(usize, u32),
    /// A client asks for some keys.
    MultiGet(usize, Vec<u32>),
    /// A client writes what must not be written twice.
    Push(usize, u32),
    /// A client waits for an element.
    Block(usize, u32),
    /// A client reads or writes so many keys of one node in a transaction.
    Transact(usize, u32, usize, bool),
    /// A client watches a key until its next transaction.
    Watch(usize, u32),
    /// A client asks for one key and does not want to hear of it.
    Mute(usize, u32),
    /// A client asks all nodes.
    Size(usize),
    /// A client asks the proxy itself.
    Ping(usize),
    /// A client leaves, and another comes in its place.
    Replace(usize),
    /// A node answers so many of the requests it has.
    Answer(usize, usize),
    /// A node sends half of the reply that is next on each connection; its client may be slow to take it.
    Begin(usize, bool),
    /// A client takes what there is for it.
    Take(usize),
    /// From now on a node's sockets take so many bytes, together.
    Room(usize, usize),
    /// A node's connections break.
    Break(usize),
    /// A node's connections are back.
    Connect(usize),
    /// A view with the node in service or not.
    Routable(usize, bool),
    /// Time passes, in ms.
    Wait(u64),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let (client, node, key) = (0..CLIENTS, 0..NODES, 0..KEYS);
    let of_key = (client.clone(), key.clone());
    let transaction = (client.clone(), key.clone(), 0_usize..4, any::<bool>());
    let room = prop_oneof![Just(usize::MAX), 0_usize..200];
    prop_oneof![
        8 => of_key.clone().prop_map(|(client, key)| Event::Get(client, key)),
        4 => (client.clone(), prop::collection::vec(key, 1..8)).prop_map(|(client, keys)| Event::MultiGet(client, keys)),
        6 => of_key.clone().prop_map(|(client, key)| Event::Push(client, key)),
        2 => of_key.clone().prop_map(|(client, key)| Event::Block(client, key)),
        3 => transaction.prop_map(|(client, key, count, writes)| Event::Transact(client, key, count, writes)),
        2 => of_key.clone().prop_map(|(client, key)| Event::Watch(client, key)),
        1 => of_key.prop_map(|(client, key)| Event::Mute(client, key)),
        1 => client.clone().prop_map(Event::Size),
        1 => client.clone().prop_map(Event::Ping),
        1 => client.clone().prop_map(Event::Replace),
        2 => client.prop_map(Event::Take),
        4 => (node.clone(), any::<bool>()).prop_map(|(node, slowly)| Event::Begin(node, slowly)),
        8 => (node.clone(), 1_usize..6).prop_map(|(node, count)| Event::Answer(node, count)),
        1 => (node.clone(), room).prop_map(|(node, bytes)| Event::Room(node, bytes)),
        2 => node.clone().prop_map(Event::Break),
        3 => node.clone().prop_map(Event::Connect),
        2 => (node, any::<bool>()).prop_map(|(node, routable)| Event::Routable(node, routable)),
        1 => (1_u64..700).prop_map(Event::Wait),
    ]
}
