package interop.kcl;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/** A user's code: notes each record and each call, and checkpoints once a second and where it must. */
final class Processor implements ShardRecordProcessor {
    private static final long CHECKPOINT_EVERY_NANOS = 1_000_000_000L;

    private final Journal journal;
    private String shard = "none"; // A lease may be lost before its shard is started.
    private String last = "none";
    private long checkpointedAt = System.nanoTime();

    Processor(Journal journal) {
        this.journal = journal;
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input.shardId();
        journal.note("started", "shard", shard, "checkpoint", input.extendedSequenceNumber().sequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        List<Event> events = new ArrayList<>();
        for (KinesisClientRecord record : input.records()) {
            byte[] data = new byte[record.data().remaining()];
            record.data().duplicate().get(data);
            last = record.sequenceNumber();
            events.add(journal.event("record", "shard", shard, "seq", last, "key", record.partitionKey(),
                    "data", new String(data)));
        }
        if (input.childShards() != null && !input.childShards().isEmpty()) {
            events.add(journal.event("children", "shard", shard, "of",
                    input.childShards().stream().map(ChildShard::shardId).sorted().collect(Collectors.joining(","))));
        }
        journal.write(events);
        if (System.nanoTime() - checkpointedAt > CHECKPOINT_EVERY_NANOS) {
            checkpoint(input.checkpointer());
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        journal.note("lost", "shard", shard);
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        journal.note("ended", "shard", shard, "last", last); // Before the checkpoint, which lets the children start.
        checkpoint(input.checkpointer());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        journal.note("requested", "shard", shard, "last", last);
        checkpoint(input.checkpointer());
    }

    /** That the lease has gone meanwhile is in the nature of things. Whatever else is refused is trouble. */
    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint();
            checkpointedAt = System.nanoTime();
            journal.note("checkpointed", "shard", shard, "seq", last);
        } catch (ShutdownException gone) {
            journal.note("refused", "shard", shard, "seq", last);
        } catch (InvalidStateException | RuntimeException failure) {
            journal.note("trouble", "shard", shard, "what", failure);
        }
    }
}
