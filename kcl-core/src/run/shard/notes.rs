//! What the lanes of a handler note, as events.

use super::ShardTask;
use crate::decide::lanes::Note;
use crate::event::Event;

impl ShardTask {
    /// Tells what became of records.
    #[expect(clippy::too_many_lines, reason = "one event for each note")]
    pub(super) fn tell_note(&self, note: Note) {
        let (shard, epoch) = (self.context.shard.clone(), self.context.epoch);
        let events = &self.shared.events;
        let event = match note {
            Note::Processed { records, bytes } => {
                return events.emit_with(|| Event::RecordsProcessed {
                    shard,
                    epoch,
                    records,
                    bytes,
                });
            }
            Note::Filtered { records } => {
                return events.emit_with(|| Event::RecordsFiltered {
                    shard,
                    epoch,
                    records,
                });
            }
            Note::Failed {
                records,
                first,
                attempts,
                cause,
                error,
                retry_in,
            } => Event::BatchFailed {
                shard,
                epoch,
                records,
                first,
                attempts,
                cause,
                error,
                retry_in,
            },
            Note::GivenUp {
                records,
                first,
                last,
                attempts,
                reason,
            } => Event::RecordsGivenUp {
                shard,
                epoch,
                records,
                first,
                last,
                attempts,
                reason,
            },
            Note::Diverted {
                records,
                bytes,
                first,
            } => Event::RecordsDiverted {
                shard,
                epoch,
                records,
                bytes,
                first,
            },
            Note::DestinationFailed {
                records,
                first,
                error,
                retry_in,
            } => Event::DestinationFailed {
                shard,
                epoch,
                records,
                first,
                error,
                retry_in,
            },
            Note::RunsLong {
                running,
                records,
                first,
            } => Event::CallRunsLong {
                shard,
                epoch,
                running,
                records,
                first,
            },
        };
        events.emit(&event);
    }
}
