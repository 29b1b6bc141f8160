//! An emulator of Amazon Kinesis Data Streams, and of the DynamoDB calls its consumers make.

pub mod dynamo;
mod scope;

pub use scope::Scope;
