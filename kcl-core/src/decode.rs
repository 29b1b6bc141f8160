//! From what a source brought to what the processor gets.

pub(crate) mod gate;
