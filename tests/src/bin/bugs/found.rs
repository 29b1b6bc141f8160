//! Which seed last found which mistake, so that looking again takes one seed each.

use kcl_core::planted::Bug;

pub(crate) const FOUND: &[(Bug, u64)] = &[];
