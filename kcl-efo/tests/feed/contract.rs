//! Fan-out passes the suite for sources, by itself and while it changes to polling and back in the middle of
//! everything. Against the emulator, in paused time, without a socket.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use kcl_core::contract::{Disturbance, StreamFixture, record_source};
use kcl_core::{Env, Polling, SequenceNumber, ShardId, StreamName, async_trait};
use kcl_efo::{FanOut, Retrieval, Switch};
use kinesis_emulator::{Action, EventException, Fault, Service};

struct Emulated {
    service: Service,
    client: Client,
    switch: Option<Switch>,
}

impl Emulated {
    /// Every subscription is over at once.
    fn end_subscriptions(&self) {
        self.service.clock().advance(Duration::from_secs(6 * 60));
    }

    fn strike(&self, action: Action, times: u64) {
        self.service
            .faults()
            .add(Fault::new(action).on("SubscribeToShard").times(times))
            .unwrap();
    }
}

#[async_trait]
impl StreamFixture for Emulated {
    fn stream(&self) -> StreamName {
        crate::support::stream()
    }

    fn shard(&self) -> ShardId {
        crate::support::shard()
    }

    async fn put(&self, payload: &str) -> SequenceNumber {
        crate::support::put(&self.client, payload).await
    }

    async fn close(&self) -> Vec<ShardId> {
        crate::support::split(&self.client).await
    }

    fn env(&self) -> Env {
        crate::support::env(&self.service)
    }

    async fn disturb(&self, how: Disturbance) {
        if let Some(switch) = &self.switch {
            let to = match switch.wanted() {
                Retrieval::Polling => Retrieval::FanOut,
                Retrieval::FanOut => Retrieval::Polling,
            };
            switch.to(to).unwrap();
        }
        match how {
            Disturbance::Expire => self.end_subscriptions(),
            Disturbance::Throttle => {
                self.strike(Action::Throttle, 3);
                self.end_subscriptions();
            }
            Disturbance::BreakOff => {
                self.strike(Action::ResetAfter, 1);
                self.strike(Action::TruncateEvent, 1);
                self.strike(Action::EventException(EventException::InternalFailure), 1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fan_out_is_a_record_source() {
    let (service, client) = crate::support::emulated(1).await;
    let source = FanOut::new(&service.sdk_config(), "app");
    let switch = None;
    record_source(
        &source,
        &Emulated {
            service,
            client,
            switch,
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn fan_out_that_changes_to_polling_and_back_all_the_time_is_a_record_source() {
    let (service, client) = crate::support::emulated(1).await;
    let config = service.sdk_config();
    let source = FanOut::new(&config, "app").with_fallback(Polling::new(&config));
    let switch = Some(source.switch());
    record_source(
        &source,
        &Emulated {
            service,
            client,
            switch,
        },
    )
    .await;
}
