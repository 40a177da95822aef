//! Redis Cluster's own protocol. FastCache routes without it.

use super::row::{NONE, admin, connection, container, help, inspect, read};
use crate::{Class, Command};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    connection("readonly",  1, "loading stale fast @connection", "3.0.0", "Allows reads on a replica").idempotent(),
    connection("readwrite", 1, "loading stale fast @connection", "3.0.0", "Ends READONLY").idempotent(),
    connection("asking",    1, "fast @connection",               "3.0.0", "Allows the next command on a slot that is being imported"),
    read("clusterscan", -2, "@keyspace", NONE, "9.1.0", "Walks over the keys of a cluster in steps"),
    container("cluster", Class::Admin, "3.0.0", "Manages the cluster", CLUSTER),
];

#[rustfmt::skip]
const CLUSTER: &[Command] = &[
    inspect("cluster|info",                 2, "stale",                            "3.0.0", "State of the cluster").idempotent(),
    inspect("cluster|nodes",                2, "stale",                            "3.0.0", "Lists the nodes").idempotent(),
    inspect("cluster|slots",                2, "stale",                            "3.0.0", "Lists slots with their nodes").idempotent(),
    inspect("cluster|shards",               2, "stale",                            "7.0.0", "Lists shards with their nodes").idempotent(),
    inspect("cluster|myid",                 2, "stale",                            "3.0.0", "Id of this node").idempotent(),
    inspect("cluster|myshardid",            2, "loading stale",                    "7.2.0", "Id of this node's shard").idempotent(),
    inspect("cluster|links",                2, "stale",                            "7.0.0", "Lists the connections between nodes").idempotent(),
    inspect("cluster|keyslot",              3, "stale",                            "3.0.0", "Slot of a key").idempotent(),
    inspect("cluster|countkeysinslot",      3, "stale",                            "3.0.0", "Counts the keys of a slot").idempotent(),
    inspect("cluster|getkeysinslot",        4, "stale",                            "3.0.0", "Lists keys of a slot").idempotent(),
    inspect("cluster|slot-stats",          -4, "loading stale",                    "8.0.0", "Figures about slots").idempotent(),
    admin("cluster|replicas",               3, "stale",                            "5.0.0", "Lists the replicas of a node").idempotent(),
    admin("cluster|slaves",                 3, "stale",                            "3.0.0", "Lists the replicas of a node; the old name of REPLICAS").idempotent(),
    admin("cluster|count-failure-reports",  3, "stale",                            "3.0.0", "Counts the failure reports about a node").idempotent(),
    admin("cluster|meet",                  -4, "stale no_async_loading",           "3.0.0", "Adds a node to the cluster"),
    admin("cluster|forget",                 3, "stale no_async_loading",           "3.0.0", "Removes a node from the cluster"),
    admin("cluster|replicate",              3, "stale no_async_loading",           "3.0.0", "Makes this node a replica of another"),
    admin("cluster|failover",              -2, "stale no_async_loading",           "3.0.0", "Makes a replica the primary"),
    admin("cluster|reset",                 -2, "noscript stale",                   "3.0.0", "Resets this node"),
    admin("cluster|addslots",              -3, "stale no_async_loading",           "3.0.0", "Gives slots to this node"),
    admin("cluster|addslotsrange",         -4, "stale no_async_loading",           "7.0.0", "Gives ranges of slots to this node"),
    admin("cluster|delslots",              -3, "stale no_async_loading",           "3.0.0", "Takes slots from this node"),
    admin("cluster|delslotsrange",         -4, "stale no_async_loading",           "7.0.0", "Takes ranges of slots from this node"),
    admin("cluster|setslot",               -4, "stale no_async_loading",           "3.0.0", "Sets the owner or the migration state of a slot"),
    admin("cluster|flushslot",             -3, "write no_async_loading @keyspace", "9.0.0", "Deletes the keys of a slot"),
    admin("cluster|flushslots",             2, "stale no_async_loading",           "3.0.0", "Forgets all slots"),
    admin("cluster|migrateslots",          -4, "stale no_async_loading",           "9.0.0", "Moves slots to other nodes"),
    admin("cluster|getslotmigrations",      2, "stale no_async_loading",           "9.0.0", "Lists slot migrations").idempotent(),
    admin("cluster|cancelslotmigrations",   2, "stale no_async_loading",           "9.0.0", "Cancels slot migrations"),
    admin("cluster|syncslots",             -3, "stale no_async_loading",           "9.0.0", "Slot migration's protocol"),
    admin("cluster|bumpepoch",              2, "stale no_async_loading",           "3.0.0", "Raises the cluster's epoch"),
    admin("cluster|set-config-epoch",       3, "stale no_async_loading",           "3.0.0", "Sets this node's first epoch"),
    admin("cluster|saveconfig",             2, "stale no_async_loading",           "3.0.0", "Writes the cluster's state to disk").idempotent(),
    help("cluster|help", "5.0.0"),
];
