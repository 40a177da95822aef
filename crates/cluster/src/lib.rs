//! The contract between the processes: who is in the cluster, where a key lives, and what the
//! health service says about it.
//!
//! ```text
//! cluster.toml -> Topology --.
//!                             >-- health service --> View --> Routing --> one load per request
//! probes and reports --------'                       (epoch)   (ring + view, compiled)
//! ```
//!
//! The one idea: a key's *slot* depends on its bytes alone, a slot's *owner* on node ids and
//! weights alone, and who *serves* a slot on the numbered view alone. Everybody who holds the same
//! view therefore sends the same key to the same node.
//!
//! [`NodeId`], [`Topology`], [`Slot`], [`Ring`], [`View`] and [`Routing`] are pure: no IO, no clock.
//! [`HealthClient`] and [`Follower`] speak HTTP to the health service and never let its absence
//! reach a request: the last good answer stays in force. The crate does not probe nodes and does
//! not decide who is healthy; the health service does.

mod api_token;
mod follow;
mod health;
mod health_client;
mod node;
mod node_login;
mod report;
mod ring;
mod routing;
mod slot;
mod sse;
mod topology;
mod view;

pub use api_token::{ApiToken, ApiTokenError};
pub use follow::{Follower, follow};
pub use health::{CheckerState, MaintenanceMode, NodeHealth, NodeType, Summary, Transition};
pub use health_client::{Answer, ClientError, ClientSettings, HealthClient, MAX_BODY_LEN, PROXY_ID_HEADER};
pub use node::{Address, AddressError, MAX_ID_LEN, NodeId, NodeIdError, NodeIndex};
pub use node_login::{NodeLogin, NodeLoginError, has_no_password, login_problem};
pub use report::{MAX_REPORTS, Report, ReportKind, Reports};
pub use ring::Ring;
pub use routing::{Routing, RoutingError};
pub use slot::{DEFAULT_SLOTS, MAX_SLOTS, MIN_SLOTS, Slot, SlotCount, hash_tag};
pub use topology::{DEFAULT_POINTS, MAX_NODES, MAX_POINTS, MAX_WEIGHT, Member, Topology, TopologyError};
pub use view::{Status, View, ViewError, ViewNode, ViewProxy};
