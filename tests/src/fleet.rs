//! Real processes on real sockets: the emulator's binary, `record-printer` processes, and a producer.
//!
//! It owns the processes (all are killed when their handle is dropped) and the merged list of what
//! the printers delivered. It decides nothing: the experiments are in [`experiment`], [`rest`] and
//! [`crowd`].

pub mod crowd;
pub mod experiment;
mod output;
mod process;
mod producer;
pub mod rest;
mod stage;

pub use output::{Delivery, Output};
pub use process::{EmulatorProcess, Printer, PrinterSettings, binaries, run_to_end};
pub use producer::{Producer, preload};
