//! What the small examples share: an emulator in this process, with a stream of orders.

use std::error::Error;
use std::io::Write;

use aws_sdk_kinesis::Client;
use kinesis_emulator::Emulator;

/// An emulator, which stops when this is dropped, and the configuration that leads to it.
#[derive(Debug)]
pub struct Shop {
    /// On AWS it is `aws_config::load_defaults(..)`.
    pub aws: aws_config::SdkConfig,
    _emulator: Emulator,
}

/// A stream `orders` of one shard, with these orders in it: who, and what.
///
/// # Errors
/// If the emulator cannot listen or refuses a call.
pub async fn shop(orders: &[(&str, &str)]) -> Result<Shop, Box<dyn Error>> {
    let emulator = Emulator::start().await?;
    let aws = emulator.sdk_config();
    let kinesis = Client::new(&aws);
    let create = kinesis.create_stream().stream_name("orders").shard_count(1);
    create.send().await?;
    for (customer, order) in orders {
        let put = kinesis.put_record().stream_name("orders");
        let put = put
            .partition_key(*customer)
            .data(order.as_bytes().to_vec().into());
        put.send().await?;
    }
    Ok(Shop {
        aws,
        _emulator: emulator,
    })
}

/// Prints a line.
///
/// # Errors
/// If nobody reads it.
pub fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
