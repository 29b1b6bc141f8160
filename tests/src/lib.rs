//! What the tests of the whole system share.
//!
//! * [`fleet`]: real processes on real sockets.
//! * [`sim`]: the whole stack in one process, in virtual time, from one seed.

pub mod fleet;
pub mod sim;
