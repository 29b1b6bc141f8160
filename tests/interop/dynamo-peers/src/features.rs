//! What is compared: everything, unless the command line leaves something out.

use crate::Error;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) legacy: bool,
    pub(crate) indexes: bool,
    pub(crate) batches: bool,
    pub(crate) transactions: bool,
    pub(crate) time_to_live: bool,
    pub(crate) capacity: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            legacy: true,
            indexes: true,
            batches: true,
            transactions: true,
            time_to_live: true,
            capacity: true,
        }
    }
}

impl Features {
    pub(crate) fn leave_out(&mut self, name: &str) -> Result<(), Error> {
        let feature = match name {
            "legacy" => &mut self.legacy,
            "indexes" => &mut self.indexes,
            "batches" => &mut self.batches,
            "transactions" => &mut self.transactions,
            "ttl" => &mut self.time_to_live,
            "capacity" => &mut self.capacity,
            _ => return Err(format!("there is no feature {name}").into()),
        };
        *feature = false;
        Ok(())
    }
}
