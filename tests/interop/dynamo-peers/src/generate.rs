//! The generator: requests out of the grammars of the service's documentation, from a seed. It shares
//! no code with the emulator. Called by `run`.

pub(crate) mod broken;
mod condition;
pub(crate) mod control;
mod legacy;
pub(crate) mod requests;
pub(crate) mod tables;
mod update;
mod values;
mod writer;
