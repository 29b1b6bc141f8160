package interop;

import static interop.Checks.check;
import static interop.Checks.number;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.model.Record;

/** What the producers were told about each record, and what must have come of it. */
final class Ledger {
    record Place(String shard, String sequence) {}

    record Delivered(String shard, Record record) {}

    private final Map<Place, String> placed = new HashMap<>(); // "key/number"
    private final Map<String, Integer> counts = new HashMap<>();
    private boolean isDone;

    synchronized SdkBytes next(String key) {
        return SdkBytes.fromUtf8String(key + "/" + counts.getOrDefault(key, 0));
    }

    synchronized void note(String key, String shard, String sequence) {
        int count = counts.merge(key, 1, Integer::sum) - 1;
        String other = placed.put(new Place(shard, sequence), key + "/" + count);
        if (other != null) {
            throw new AssertionError(key + " got the place of " + other);
        }
    }

    synchronized int size() {
        return placed.size();
    }

    synchronized boolean isDone() {
        return isDone;
    }

    synchronized void finish() {
        isDone = true;
    }

    /** The shards that took records. */
    synchronized Set<String> shards() {
        Set<String> shards = new TreeSet<>();
        placed.keySet().forEach(place -> shards.add(place.shard()));
        return shards;
    }

    void waitForAGeneration() {
        int wanted = size() + number("RECORDS_PER_GENERATION");
        Checks.eventually("producers", () -> size() >= wanted);
    }

    /** Every record once, in the order of its key, where the producers were told, and from just now. */
    synchronized void verify(String reader, List<Delivered> seen) {
        Map<String, Integer> seenOfKey = new HashMap<>();
        Set<Place> places = new HashSet<>();
        for (Delivered delivered : seen) {
            Record record = delivered.record();
            Place place = new Place(delivered.shard(), record.sequenceNumber());
            String wanted = record.partitionKey() + "/" + (seenOfKey.merge(record.partitionKey(), 1, Integer::sum) - 1);
            String data = record.data().asUtf8String();
            if (!data.equals(wanted) || !data.equals(placed.get(place))) {
                throw new AssertionError(reader + ": " + place + " holds " + data + ", and " + wanted + " was next");
            }
            if (!Checks.isNow(record.approximateArrivalTimestamp())) {
                throw new AssertionError(reader + ": arrived " + record.approximateArrivalTimestamp());
            }
            places.add(place);
        }
        check(reader + " delivers each record once, in the order of its key, where it was put, as of now",
                seen.size() == placed.size() && places.size() == seen.size(),
                List.of(placed.size(), seen.size(), places.size()));
        System.out.println(reader + " delivered " + seen.size() + " records");
    }
}
