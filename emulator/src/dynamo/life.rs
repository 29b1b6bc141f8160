//! The life of what takes time to come and to go: tables and indexes. No timers: what is over shows
//! when somebody looks.

use std::time::SystemTime;

/// Whether something is to stay or to go, and when that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Made, and ready at this time.
    Ready(SystemTime),
    /// Deleted, and gone at this time.
    Gone(SystemTime),
}

/// What it is called on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

impl Life {
    /// Its status at `now`; nothing once it is gone.
    pub(crate) fn status(self, now: SystemTime) -> Option<Status> {
        match self {
            Self::Ready(at) if now < at => Some(Status::Creating),
            Self::Ready(_) => Some(Status::Active),
            Self::Gone(at) if now < at => Some(Status::Deleting),
            Self::Gone(_) => None,
        }
    }
}

impl Status {
    /// As descriptions have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}
