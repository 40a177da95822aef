//! What a scrape says of each single node and proxy.
//!
//! Four gauges with the member's kind and id as labels: a cluster of ten thousand members gives forty thousand
//! series, which is what one asks for by running one. Nothing is kept between two scrapes.

use std::fmt;

use cluster::{NodeType, Status};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::board::Board;
use crate::metrics::kind_name;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    member: String,
}

/// The gauges, as the members are now.
#[derive(Debug, Default)]
pub(crate) struct MemberGauges {
    healthy: Family<Labels, Gauge>,
    routable: Family<Labels, Gauge>,
    maintenance: Family<Labels, Gauge>,
    response_seconds: Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

impl MemberGauges {
    /// Reads the verdict.
    pub(crate) fn read(board: &Board) -> Self {
        let gauges = Self::default();
        board.read(|verdict, _| {
            for member in verdict.members() {
                let labels = Labels { kind: kind_name(member.kind), member: member.id.to_string() };
                gauges.healthy.get_or_create(&labels).set((member.status == Status::Healthy).into());
                if let Some(time) = member.response_time {
                    gauges.response_seconds.get_or_create(&labels).set(time.as_secs_f64());
                }
                // Nobody routes to a proxy by the view, and none can be drained here.
                if member.kind == NodeType::Node {
                    gauges.routable.get_or_create(&labels).set(member.routable.into());
                    gauges.maintenance.get_or_create(&labels).set(member.maintenance.into());
                }
            }
        });
        gauges
    }

    /// Writes them out.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut add = |name: &str, help: &str, family: &dyn Encodes| family.encode_as(encoder, name, help);
        add("member_healthy", "1 when the member is HEALTHY", &self.healthy)?;
        add("member_routable", "1 when the node may be sent traffic", &self.routable)?;
        add("member_maintenance", "1 when the operator drained the node", &self.maintenance)?;
        add("member_response_seconds", "How long the last good probe took", &self.response_seconds)
    }
}

/// A family of either kind of number, so that one closure can write both.
trait Encodes {
    fn encode_as(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), fmt::Error>;
}

impl<M: EncodeMetric> Encodes for M {
    fn encode_as(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}
