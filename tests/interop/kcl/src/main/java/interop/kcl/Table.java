package interop.kcl;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;

/** Looks at an application's table all the time, and keeps every state in which a row was seen. */
final class Table implements Runnable {
    /** A row as it was. */
    record Row(long at, Map<String, AttributeValue> attributes) {
        String text(String attribute) {
            AttributeValue value = attributes.get(attribute);
            return value == null ? null : value.s() != null ? value.s() : value.n();
        }

        /** Absent means that it is a lease. */
        boolean isLease() {
            String type = text("entityType");
            return type == null || type.equals("LEASE");
        }

        String key() {
            return text("leaseKey");
        }
    }

    private static final int EVERY_MILLIS = 200;

    private final DynamoDbAsyncClient dynamo;
    private final String name;
    private final Journal journal;
    private final Map<String, List<Row>> seen = new TreeMap<>();
    private volatile boolean isDone;

    Table(DynamoDbAsyncClient dynamo, String name, Journal journal) {
        this.dynamo = dynamo;
        this.name = name;
        this.journal = journal;
    }

    String name() {
        return name;
    }

    void finish() {
        isDone = true;
    }

    @Override
    public void run() {
        while (!isDone) {
            look();
            Checks.pause(EVERY_MILLIS);
        }
    }

    private void look() {
        for (Row row : rows()) {
            synchronized (seen) {
                List<Row> history = seen.computeIfAbsent(row.key(), it -> new ArrayList<>());
                if (history.isEmpty() || !history.get(history.size() - 1).attributes().equals(row.attributes())) {
                    history.add(row);
                    journal.note("row", new TreeMap<>(row.attributes()).entrySet().stream()
                            .flatMap(it -> Stream.of(it.getKey(), show(it.getValue()))).toArray());
                }
            }
        }
    }

    /** The rows as they are; none before there is a table. */
    List<Row> rows() {
        List<Row> rows = new ArrayList<>();
        try {
            Event now = journal.event("scan");
            dynamo.scanPaginator(it -> it.tableName(name).consistentRead(true)).items()
                    .subscribe(item -> rows.add(new Row(now.at(), item))).join();
        } catch (CompletionException thrown) {
            if (!(thrown.getCause() instanceof ResourceNotFoundException)) {
                throw thrown;
            }
        }
        return rows;
    }

    /** All states of each row, by key. */
    Map<String, List<Row>> seen() {
        synchronized (seen) {
            Map<String, List<Row>> copy = new LinkedHashMap<>();
            seen.forEach((key, rows) -> copy.put(key, List.copyOf(rows)));
            return copy;
        }
    }

    /** Whether a worker has a lease, of a finished shard perhaps. */
    boolean knows(String worker) {
        return seen().values().stream().anyMatch(history ->
                worker.equals(history.get(history.size() - 1).text("leaseOwner")));
    }

    /**
     * Whether each lease of an unfinished shard has had one owner, and none to come, for so long. The leases of
     * finished shards never rest: the leader balances with them too.
     */
    boolean isAtRest(long micros) {
        long since = journal.event("now").at() - micros;
        return seen().values().stream().allMatch(history -> {
            Row last = history.get(history.size() - 1);
            if (!last.isLease() || "SHARD_END".equals(last.text("checkpoint"))) {
                return true;
            }
            String owner = last.text("leaseOwner");
            List<Row> until = history.stream().filter(row -> row.at() <= since).toList();
            return owner != null && !until.isEmpty()
                    && history.subList(until.size() - 1, history.size()).stream().allMatch(row ->
                            owner.equals(row.text("leaseOwner")) && row.text("checkpointOwner") == null);
        });
    }

    private static Object show(AttributeValue value) {
        if (value.hasSs()) {
            return new TreeSet<>(value.ss());
        }
        return value.s() != null ? value.s() : value.n() != null ? value.n() : value;
    }
}
