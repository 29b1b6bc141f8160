package interop.kcl;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResultEntry;

/** Writes numbered records of many keys at an even rate, and notes each one that was acknowledged. */
final class Producer implements Runnable {
    static final int RECORDS_A_SECOND = 200;
    private static final int KEYS = 40;
    private static final int BATCH = 20;

    /** Where a record went. */
    record Place(String shard, String sequence) {}

    private final KinesisAsyncClient kinesis;
    private final String stream;
    private final Journal journal;
    private final Map<Place, String> acknowledged = new ConcurrentHashMap<>(); // "key/number"
    private final Map<String, Integer> numbers = new HashMap<>();
    private volatile boolean isDone;
    private volatile double seconds;

    Producer(KinesisAsyncClient kinesis, String stream, Journal journal) {
        this.kinesis = kinesis;
        this.stream = stream;
        this.journal = journal;
    }

    Map<Place, String> acknowledged() {
        return Map.copyOf(acknowledged);
    }

    int count() {
        return acknowledged.size();
    }

    /** Records a second over the whole of it. */
    double rate() {
        return count() / seconds;
    }

    void finish() {
        isDone = true;
    }

    @Override
    public void run() {
        long started = System.nanoTime();
        for (long batches = 0; !isDone; batches++) {
            long due = started + batches * BATCH * 1_000_000_000L / RECORDS_A_SECOND;
            Checks.pause(Math.max(0, (due - System.nanoTime()) / 1_000_000));
            put(nextBatch(batches));
        }
        seconds = (System.nanoTime() - started) / 1e9;
    }

    private List<PutRecordsRequestEntry> nextBatch(long batches) {
        List<PutRecordsRequestEntry> batch = new ArrayList<>();
        for (int index = 0; index < BATCH; index++) {
            String key = "key-" + (batches * BATCH + index) % KEYS;
            int number = numbers.merge(key, 1, Integer::sum) - 1;
            batch.add(PutRecordsRequestEntry.builder().partitionKey(key)
                    .data(SdkBytes.fromUtf8String(key + "/" + number)).build());
        }
        return batch;
    }

    /** What is refused goes again before anything later of its key. */
    private void put(List<PutRecordsRequestEntry> batch) {
        List<PutRecordsRequestEntry> rest = batch;
        while (!rest.isEmpty()) {
            List<PutRecordsRequestEntry> records = rest;
            PutRecordsResponse answer =
                    kinesis.putRecords(it -> it.streamName(stream).records(records)).join();
            rest = new ArrayList<>();
            List<Event> events = new ArrayList<>();
            for (int index = 0; index < records.size(); index++) {
                PutRecordsResultEntry result = answer.records().get(index);
                if (result.errorCode() != null) {
                    rest.add(records.get(index));
                    continue;
                }
                String data = records.get(index).data().asUtf8String();
                acknowledged.put(new Place(result.shardId(), result.sequenceNumber()), data);
                events.add(journal.event("acknowledged", "shard", result.shardId(),
                        "seq", result.sequenceNumber(), "data", data));
            }
            journal.write(events);
        }
    }
}
