package interop.kcl;

import static interop.kcl.Checks.check;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue.Type;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.GlobalSecondaryIndexDescription;
import software.amazon.awssdk.services.dynamodb.model.IndexStatus;
import software.amazon.awssdk.services.dynamodb.model.KeySchemaElement;
import software.amazon.awssdk.services.dynamodb.model.ProjectionType;
import software.amazon.awssdk.services.dynamodb.model.TableDescription;
import software.amazon.awssdk.services.dynamodb.model.TableStatus;

/** What the KCL keeps beside the leases: its table and index, the leader's lock, and each worker's life. */
final class Coordination {
    private static final String INDEX = "LeaseOwnerToLeaseKeyIndex";
    private static final int FRESH_SECONDS = 10;

    private Coordination() {}

    static String table(DynamoDbAsyncClient dynamo, String name) {
        TableDescription table = dynamo.describeTable(it -> it.tableName(name)).join().table();
        check(table.tableStatus() == TableStatus.ACTIVE, "the table is not ACTIVE", table);
        check(schema(table.keySchema()).equals("leaseKey HASH"), "another key", table);
        check(table.billingModeSummary().billingMode() == BillingMode.PAY_PER_REQUEST, "another way to pay", table);
        List<String> tables = dynamo.listTables().join().tableNames().stream().filter(it -> it.startsWith(name)).toList();
        check(tables.equals(List.of(name)), "more than one table", tables);
        if (!Tuning.HAS_LEADER) {
            check(!table.hasGlobalSecondaryIndexes(), "an index that nobody asked for", table);
            return "one table by leaseKey, paid by request";
        }
        GlobalSecondaryIndexDescription index = table.globalSecondaryIndexes().get(0);
        check(index.indexName().equals(INDEX) && index.indexStatus() == IndexStatus.ACTIVE
                && schema(index.keySchema()).equals("leaseOwner HASH, leaseKey RANGE")
                && index.projection().projectionType() == ProjectionType.KEYS_ONLY, "another index", index);
        return "one table by leaseKey, paid by request, with the index " + INDEX;
    }

    private static String schema(List<KeySchemaElement> keys) {
        return keys.stream().map(key -> key.attributeName() + " " + key.keyType()).collect(Collectors.joining(", "));
    }

    /** The index has the owner's leases, all of them and no others. */
    static String index(DynamoDbAsyncClient dynamo, String name, List<Table.Row> rows, String owner) {
        Set<String> wanted = rows.stream().filter(row -> owner.equals(row.text("leaseOwner")))
                .map(Table.Row::key).collect(Collectors.toCollection(TreeSet::new));
        Set<String> found = new TreeSet<>();
        dynamo.queryPaginator(it -> it.tableName(name).indexName(INDEX).keyConditionExpression("leaseOwner = :owner")
                        .expressionAttributeValues(Map.of(":owner", AttributeValue.fromS(owner))))
                .items().subscribe(item -> found.add(item.get("leaseKey").s())).join();
        check(!wanted.isEmpty() && found.equals(wanted), "the index has other leases", List.of(found, wanted));
        return "the index has the owner's leases: " + found.size();
    }

    /**
     * One lock, whose owner changes when its worker goes: after a stop because it deletes the lock, after a
     * kill because the lock no longer beats.
     */
    static String leader(Map<String, List<Table.Row>> seen, List<Table.Row> rows, Event stop, Event kill) {
        List<Table.Row> history = lock(seen);
        List<String> leaders = leaders(history);
        long beats = history.stream().map(row -> row.text("recordVersionNumber")).distinct().count();
        check(leaders.size() == 3 && leaders.get(0).equals(stop.get("worker")) && leaders.get(1).equals(kill.get("worker")),
                "other leaders", leaders);
        check(beats > 2L * leaders.size(), "the leaders' hearts did not beat", beats);
        check(rows.stream().noneMatch(row -> row.key().equals("Leader")), "the last leader did not let go", rows);
        return "one lock, %d beats; a new leader %d ms after the stop of the first, and %d ms after the kill of the second"
                .formatted(beats, until(history, leaders.get(1), stop), until(history, leaders.get(2), kill));
    }

    /** All states of the one lock, each as the lock client writes it. */
    private static List<Table.Row> lock(Map<String, List<Table.Row>> seen) {
        List<Table.Row> history = seen.get("Leader");
        check(history != null, "there was no leader", seen.keySet());
        for (Table.Row row : history) {
            check(row.attributes().keySet().equals(
                    Set.of("leaseKey", "entityType", "ownerName", "leaseDuration", "recordVersionNumber")),
                    "other attributes of the lock", row);
            check(row.attributes().values().stream().allMatch(it -> it.type() == Type.S), "the lock is not of text", row);
            check("LEADER".equals(row.text("entityType")), "another type of the lock", row);
        }
        for (Map.Entry<String, List<Table.Row>> other : seen.entrySet()) {
            check(other.getKey().equals("Leader") || !"LEADER".equals(other.getValue().get(0).text("entityType")),
                    "another lock", other);
        }
        return history;
    }

    /** Who led, one after the other. */
    private static List<String> leaders(List<Table.Row> history) {
        List<String> leaders = new ArrayList<>();
        for (Table.Row row : history) {
            if (leaders.isEmpty() || !leaders.get(leaders.size() - 1).equals(row.text("ownerName"))) {
                leaders.add(row.text("ownerName"));
            }
        }
        return leaders;
    }

    /** In a fleet of two kinds: Java led, then the other kind while no Java worker did, then Java again. */
    static String bothKindsLed(Map<String, List<Table.Row>> seen, String foreign, String back) {
        List<String> leaders = leaders(lock(seen));
        int turn = leaders.indexOf(foreign);
        check(turn > 0 && leaders.lastIndexOf(foreign) == turn && turn == leaders.size() - 2 && leaders.get(turn + 1).equals(back),
                "other leaders", leaders);
        return "both kinds led, each when no other did: " + leaders;
    }

    private static long until(List<Table.Row> history, String leader, Event since) {
        long at = history.stream().filter(row -> leader.equals(row.text("ownerName"))).findFirst().orElseThrow().at();
        check(at > since.at(), "a leader before the other was gone", leader);
        return (at - since.at()) / 1000;
    }

    /** The row that says which version of the KCL's protocol the workers follow. */
    static String version(List<Table.Row> rows) {
        List<Table.Row> versions = rows.stream()
                .filter(row -> "CLIENT_VERSION_MIGRATION".equals(row.text("entityType"))).toList();
        check(versions.size() == 1 && versions.get(0).key().equals("Migration3.0")
                && "CLIENT_VERSION_3X".equals(versions.get(0).text("cv"))
                && versions.get(0).attributes().get("mts").type() == Type.N, "another state of the version", versions);
        return "the workers agreed on " + versions.get(0).text("cv");
    }

    /** Every worker tells that it lives, as long as it does. */
    static String workers(Map<String, List<Table.Row>> seen, Map<String, Long> endedAt) {
        Map<String, Integer> reports = new TreeMap<>();
        endedAt.forEach((worker, at) -> {
            List<Table.Row> history = seen.get(worker);
            check(history != null, "a worker without a row", worker);
            long before = 0;
            for (Table.Row row : history) {
                check("WORKER_METRIC_STATS".equals(row.text("entityType"))
                        && row.attributes().get("lut").type() == Type.N, "another row of a worker", row);
                long now = Long.parseLong(row.text("lut"));
                check(now > before, "a worker's time went back", row);
                before = now;
            }
            long silent = Instant.EPOCH.plusNanos(at * 1000).getEpochSecond() - before;
            check(silent >= 0 && silent < FRESH_SECONDS, "a worker was silent before its end", worker + " for " + silent + " s");
            reports.put(worker, history.size());
        });
        return "each worker told of its life until its end: " + reports;
    }
}
