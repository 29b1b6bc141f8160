package interop.kcl;

import static interop.kcl.Checks.check;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.kinesis.model.Shard;

/** What the lease rows must be in the end, and how they may have changed on the way. */
final class Leases {
    /** Every attribute that the KCL documents, and its type. */
    private static final Map<String, AttributeValue.Type> TYPES = Map.ofEntries(
            Map.entry("leaseKey", AttributeValue.Type.S),
            Map.entry("leaseOwner", AttributeValue.Type.S),
            Map.entry("leaseCounter", AttributeValue.Type.N),
            Map.entry("ownerSwitchesSinceCheckpoint", AttributeValue.Type.N),
            Map.entry("checkpoint", AttributeValue.Type.S),
            Map.entry("checkpointSubSequenceNumber", AttributeValue.Type.N),
            Map.entry("parentShardId", AttributeValue.Type.SS),
            Map.entry("childShardIds", AttributeValue.Type.SS),
            Map.entry("startingHashKey", AttributeValue.Type.S),
            Map.entry("endingHashKey", AttributeValue.Type.S),
            Map.entry("throughputKBps", AttributeValue.Type.N),
            Map.entry("entityType", AttributeValue.Type.S));
    private static final Set<String> ALWAYS = Set.of("leaseKey", "leaseOwner", "leaseCounter",
            "ownerSwitchesSinceCheckpoint", "checkpoint", "checkpointSubSequenceNumber", "startingHashKey", "endingHashKey");

    private final List<Table.Row> rows;
    private final List<Shard> shards;
    private final Map<String, Set<String>> parents;
    private final String owner;
    private final Map<String, String> lastProcessed;

    /** The rows in the end, the stream's shards, who owns the open ones, and what was processed last of each. */
    Leases(List<Table.Row> rows, List<Shard> shards, String owner, Map<String, String> lastProcessed) {
        this.rows = rows.stream().filter(Table.Row::isLease).toList();
        this.shards = shards;
        this.parents = KinesisStream.parents(shards);
        this.owner = owner;
        this.lastProcessed = lastProcessed;
    }

    String all() {
        Map<String, Set<String>> children = KinesisStream.children(parents);
        Map<String, Table.Row> byKey = rows.stream().collect(Collectors.toMap(Table.Row::key, row -> row));
        check(parents.keySet().containsAll(byKey.keySet()), "a lease of no shard", byKey.keySet());
        int open = 0;
        int finished = 0;
        for (Shard shard : shards) {
            Table.Row row = byKey.get(shard.shardId());
            Set<String> of = children.get(shard.shardId());
            if (of != null && row == null) {
                continue; // Finished and cleaned up.
            }
            check(row != null, "an open shard has no lease", shard);
            attributes(row, shard);
            if (of == null) {
                check(owner.equals(row.text("leaseOwner")), "another owner", row);
                check(lastProcessed.get(shard.shardId()).equals(row.text("checkpoint")), "another checkpoint", row);
                open++;
            } else {
                check("SHARD_END".equals(row.text("checkpoint")), "a parent is not at its end", row);
                check(of.equals(set(row, "childShardIds")), "other children", row);
                finished++;
            }
        }
        return "leases are as the KCL documents them: %d open at their last record, %d at SHARD_END, %d deleted"
                .formatted(open, finished, shards.size() - open - finished);
    }

    private void attributes(Table.Row row, Shard shard) {
        check(row.attributes().keySet().containsAll(ALWAYS), "attributes are missing", row);
        row.attributes().forEach((name, value) ->
                check(value.type() == TYPES.get(name), "an attribute of another type", name + " of " + row));
        check(new BigInteger(row.text("leaseCounter")).signum() > 0, "a counter that never grew", row);
        check(row.text("startingHashKey").equals(shard.hashKeyRange().startingHashKey())
                && row.text("endingHashKey").equals(shard.hashKeyRange().endingHashKey()), "another range", row);
        check(parents.get(row.key()).equals(set(row, "parentShardId")), "other parents", row);
    }

    private static Set<String> set(Table.Row row, String attribute) {
        AttributeValue value = row.attributes().get(attribute);
        return value == null ? Set.of() : new TreeSet<>(value.ss());
    }

    /** Counters and checkpoints go upwards only, and do. */
    static String history(Map<String, List<Table.Row>> seen) {
        int states = 0;
        Set<String> owners = new TreeSet<>();
        Set<String> moved = new HashSet<>();
        for (List<Table.Row> history : seen.values()) {
            Table.Row before = null;
            for (Table.Row row : history) {
                if (!row.isLease()) {
                    continue;
                }
                if (before != null) {
                    check(number(row, "leaseCounter").compareTo(number(before, "leaseCounter")) >= 0,
                            "a counter went back", List.of(before, row));
                    int step = Judge.position(row.text("checkpoint")).compareTo(Judge.position(before.text("checkpoint")));
                    check(step >= 0, "a checkpoint went back", List.of(before, row));
                    if (step > 0) {
                        moved.add(row.key());
                    }
                } else if (!"TRIM_HORIZON".equals(row.text("checkpoint")) || history.size() == 1) {
                    moved.add(row.key()); // It did before it was first seen, or was gone before it was seen again.
                }
                if (row.text("leaseOwner") != null) {
                    owners.add(row.text("leaseOwner"));
                }
                before = row;
                states++;
            }
        }
        Set<String> leases = seen.entrySet().stream().filter(it -> it.getValue().get(0).isLease())
                .map(Map.Entry::getKey).collect(Collectors.toCollection(TreeSet::new));
        check(moved.equals(leases), "checkpoints that never moved", leases);
        check(owners.size() >= 3, "not every worker had a lease", owners);
        return "counters and checkpoints of leases only grew: %d states of %d leases, owners %s"
                .formatted(states, leases.size(), owners);
    }

    private static BigInteger number(Table.Row row, String attribute) {
        return new BigInteger(row.text(attribute));
    }

    /** Each of these tables is wrong in one way. */
    int mustRefuse() {
        Table.Row open = rows.stream().filter(row -> !"SHARD_END".equals(row.text("checkpoint"))).findFirst().orElseThrow();
        refuses("a lease is missing", null, open);
        refuses("a counter is text", Map.of("leaseCounter", AttributeValue.fromS("7")), open);
        refuses("the owner is someone else", Map.of("leaseOwner", AttributeValue.fromS("nobody")), open);
        refuses("a checkpoint is an older one", Map.of("checkpoint", AttributeValue.fromS("1")), open);
        refuses("a range is another", Map.of("endingHashKey", AttributeValue.fromS("1")), open);
        refuses("an attribute is unknown", Map.of("surprise", AttributeValue.fromS("1")), open);
        refuses("a hand-off is still going on", Map.of("checkpointOwner", AttributeValue.fromS(owner)), open);
        return 7;
    }

    private void refuses(String how, Map<String, AttributeValue> change, Table.Row of) {
        List<Table.Row> broken = new ArrayList<>(rows);
        broken.remove(of);
        if (change != null) {
            Map<String, AttributeValue> attributes = new HashMap<>(of.attributes());
            attributes.putAll(change);
            broken.add(new Table.Row(of.at(), new TreeMap<>(attributes)));
        }
        Checks.refuses("leases of which " + how, () -> new Leases(broken, shards, owner, lastProcessed).all());
    }
}
