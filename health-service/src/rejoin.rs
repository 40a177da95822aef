//! The rejoin: makes sure that a node that was out holds nothing stale before it is routable again.
//!
//! While it was out, stand-ins took its writes; whatever it still holds may be older. A cache may
//! forget, but not lie: it is flushed. Only a process that was started since and is empty needs no
//! flush. All is done over one connection, so that it is one process that was asked, flushed, and is
//! named in the view.

use std::time::Duration;

use redis_protocol::resp2::types::OwnedFrame;

use crate::connection::Connection;
use crate::probe::Place;
use crate::verdict::{Failure, Rejoined};

const DBSIZE: &[u8] = b"*1\r\n$6\r\nDBSIZE\r\n";
const FLUSHALL_ASYNC: &[u8] = b"*2\r\n$8\r\nFLUSHALL\r\n$5\r\nASYNC\r\n";

/// Readies a node. `known_run_id` is the process that served last.
///
/// # Errors
/// What went wrong; the node must stay out.
pub async fn rejoin(
    place: &Place,
    known_run_id: Option<String>,
    limit: Duration,
) -> Result<Rejoined, Failure> {
    let readied = tokio::time::timeout(limit, ready(place, known_run_id)).await;
    readied.unwrap_or(Err(Failure::Timeout(limit)))
}

async fn ready(place: &Place, known_run_id: Option<String>) -> Result<Rejoined, Failure> {
    let mut connection = place.connect().await?;
    let run_id = connection.run_id().await?;
    let is_new_process = run_id.is_some() && run_id != known_run_id;
    if is_new_process && is_empty(&mut connection).await? {
        return Ok(Rejoined { run_id, flushed: false });
    }
    match connection.call(FLUSHALL_ASYNC).await? {
        OwnedFrame::SimpleString(text) if text == b"OK" => Ok(Rejoined { run_id, flushed: true }),
        other => Err(connection.unexpected(&other)),
    }
}

async fn is_empty(connection: &mut Connection) -> Result<bool, Failure> {
    match connection.call(DBSIZE).await? {
        OwnedFrame::Integer(keys) => Ok(keys == 0),
        other => Err(connection.unexpected(&other)),
    }
}
