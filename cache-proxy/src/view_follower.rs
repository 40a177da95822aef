//! Keeps the routing up to date: follows the health service's views, compiles each off the data path, and
//! keeps the last one on disk.
//!
//! A proxy that starts routes by, in this order: the view it kept, then a given `cluster.toml`, and from then
//! on by every newer view. The health service away changes nothing: the last view stays in force.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use cluster::{Follower, HealthClient, Routing, Status, Topology, View, ViewNode, ViewProxy, follow};
use tokio::sync::watch;

use crate::config::Config;

/// File in the state directory that holds the last view.
const VIEW_FILE: &str = "view.json";

/// The routing to start with, and where to send those that follow.
#[derive(Debug)]
pub(crate) struct ViewFollower {
    routing: watch::Sender<Option<Arc<Routing>>>,
    keep_in: Option<PathBuf>,
    views: Follower,
}

impl ViewFollower {
    /// Loads what there is to start with.
    ///
    /// # Errors
    /// When a given `cluster.toml` cannot be read, or the state directory cannot be made. A kept view that
    /// cannot be read is logged and not used: the next one replaces it.
    pub(crate) fn new(
        config: &Config,
        client: HealthClient,
        routing: watch::Sender<Option<Arc<Routing>>>,
    ) -> anyhow::Result<Self> {
        let mut known = None;
        if let Some(directory) = &config.state_dir {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("--state-dir {}", directory.display()))?;
            known = kept_view(directory);
        }
        let start = match (&known, &config.cluster_file) {
            (Some(view), _) => Some(view.clone()),
            (None, Some(file)) => Some(view_of_file(file)?),
            (None, None) => None,
        };
        if let Some(view) = start {
            let compiled = Routing::compile(&view, None).context("the view to start with")?;
            tracing::info!(epoch = view.epoch, nodes = view.nodes.len(), "starting with a known view");
            routing.send_replace(Some(Arc::new(compiled)));
        }
        let views = follow(client, known.map(|view| view.epoch));
        Ok(Self { routing, keep_in: config.state_dir.clone(), views })
    }

    /// Follows the views, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let view = self.views.next().await;
            let previous = self.routing.borrow().clone();
            match Routing::compile(&view, previous.as_deref()) {
                Ok(routing) => {
                    let routable = view.nodes.iter().filter(|node| node.routable).count();
                    tracing::info!(epoch = view.epoch, nodes = view.nodes.len(), routable, "new view");
                    self.routing.send_replace(Some(Arc::new(routing)));
                    self.keep(&view);
                }
                Err(error) => {
                    tracing::error!(%error, epoch = view.epoch, "a view cannot be used; the last one stays");
                }
            }
        }
    }

    fn keep(&self, view: &View) {
        let Some(directory) = &self.keep_in else { return };
        if let Err(error) = write_view(directory, view) {
            tracing::warn!(%error, "cannot keep the view on disk; a restart would wait for the health service");
        }
    }
}

/// Replaces the kept view as a whole: a crash leaves the old or the new one.
fn write_view(directory: &Path, view: &View) -> std::io::Result<()> {
    let new = directory.join(format!("{VIEW_FILE}.new"));
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(view)?)?;
    file.sync_all()?;
    std::fs::rename(new, directory.join(VIEW_FILE))
}

fn kept_view(directory: &Path) -> Option<View> {
    let file = directory.join(VIEW_FILE);
    let json = match std::fs::read(&file) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "cannot read the kept view");
            return None;
        }
    };
    View::from_json(&json)
        .inspect_err(|error| tracing::warn!(%error, file = %file.display(), "the kept view is not usable"))
        .ok()
}

/// The view that a topology alone gives: every node in service, older than any published view.
fn view_of_file(file: &Path) -> anyhow::Result<View> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--cluster {}", file.display()))?;
    let topology = Topology::from_toml(&text).with_context(|| format!("--cluster {}", file.display()))?;
    let nodes = topology.nodes.iter().map(|member| ViewNode {
        node_id: member.id.clone(),
        host: member.address.host.clone(),
        port: member.address.port,
        zone: member.zone.clone(),
        weight: member.weight,
        status: Status::Unknown,
        routable: true,
        run_id: None,
    });
    let proxies = topology.proxies.iter().map(|member| ViewProxy {
        node_id: member.id.clone(),
        host: member.address.host.clone(),
        port: member.address.port,
        zone: member.zone.clone(),
    });
    Ok(View {
        epoch: 0,
        slots: topology.slots.get(),
        points: topology.points,
        nodes: nodes.collect(),
        proxies: proxies.collect(),
    })
}
