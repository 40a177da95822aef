//! The contract between the processes: topology, slots, ring, view, routing, health client.
