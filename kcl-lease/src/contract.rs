//! The contract suite (being filled).
