//! What the emulator counts about streams, as metrics of the namespace `AWS/Kinesis`. As on the service
//! they come as statistic sets, so that they have no percentiles.

use std::sync::Arc;

use crate::Scope;
use crate::clock::Moment;
use crate::engine::ledger::{Minutes, Of, Publisher};
use crate::engine::shard;

use super::series::{Data, Resolution};
use super::store::{Datum, Metric, Store};
use super::unit::Unit;

const NAMESPACE: &str = "AWS/Kinesis";

impl Publisher for Store {
    fn publish(&self, now: Moment, scope: &Scope, stream: &str, minutes: Minutes) {
        let namespace = Arc::<str>::from(NAMESPACE);
        let stream = (Arc::from("StreamName"), Arc::<str>::from(stream));
        let data = minutes.into_iter().flat_map(|((at, of), samples)| {
            let mut dimensions = vec![stream.clone()];
            match of {
                Of::Stream => {}
                // In the order of their names.
                Of::Consumer(name) => dimensions.insert(0, (Arc::from("ConsumerName"), name)),
                Of::Shard(index) => {
                    let id = Arc::from(shard::id(index));
                    dimensions.insert(0, (Arc::from("ShardId"), id));
                }
            }
            let datum = |(metric, summary): (crate::engine::ledger::Metric, _)| Datum {
                metric: Metric {
                    namespace: Arc::clone(&namespace),
                    name: Arc::from(metric.name()),
                    dimensions: dimensions.clone(),
                },
                at,
                resolution: Resolution::Minute,
                unit: Unit::parse(metric.unit()).unwrap_or(Unit::NONE),
                data: Data::Set(summary),
            };
            samples.iter().map(datum).collect::<Vec<_>>()
        });
        self.put(now, scope, data);
    }
}
