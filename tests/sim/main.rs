//! The full-stack simulation as a test: a few seeds, the same trace from the same seed, and proof
//! that each rule can fail.

mod bad_deliveries;
mod bad_ends;
mod bad_handling;
mod bad_loads;
mod bad_rest;
mod bad_tables;
mod entropy;
mod hand;
mod seeds;
