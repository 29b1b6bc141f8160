//! What AWS Lambda's event source mapping does with the records of a stream, as parts for an engine that does it on
//! a fleet of one's own. Feature `lambda`.
//!
//! [`mapping`] is what is set, and given to [`WorkerBuilder::with_lambda`](crate::WorkerBuilder::with_lambda) together with
//! a function. The worker's engine makes the batches, keeps the order, tries again and gives up; what is Lambda's own in
//! that is here. All but the last are pure: they decide and convert, and know neither time nor tasks.
//!
//! * [`event`]: records as the event that a function gets, typed or as JSON.
//! * [`filter`]: which records a function wants at all.
//! * [`response`]: what a function says of the records it was given.
//! * [`window`]: tumbling windows and their state.
//! * [`destination`]: the document about records that were given up; [`on_failure`]: who takes it.
//! * [`runtime_api`]: functions in processes of their own, in any language, behind Lambda's Runtime API.
//!
//! A mapping hands on what is in the stream: Lambda does not take aggregated records apart. Two user records of one
//! aggregate would have the same `eventID`, and could not be told apart in a report of failures, so
//! [`DecodeSettings::deaggregate`](crate::DecodeSettings) is off here, whatever the worker's settings say.

pub mod destination;
pub mod event;
pub mod filter;
pub mod mapping;
pub mod on_failure;
pub mod response;
pub mod runtime_api;
pub mod window;
