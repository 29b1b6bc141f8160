package interop.kcl;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

/** The stream and its reshards, and who comes from whom. */
final class KinesisStream {
    private static final int SHARDS_AT_START = 4;
    private static final int SHARDS_AT_END = 6;

    private final KinesisAsyncClient kinesis;
    private final String name;
    private final Journal journal;

    KinesisStream(KinesisAsyncClient kinesis, String name, Journal journal) {
        this.kinesis = kinesis;
        this.name = name;
        this.journal = journal;
    }

    String name() {
        return name;
    }

    void create() {
        kinesis.createStream(it -> it.streamName(name).shardCount(SHARDS_AT_START)).join();
        waitUntilActive();
    }

    void split() {
        Shard shard = open().get(0);
        BigInteger end = new BigInteger(shard.hashKeyRange().endingHashKey());
        BigInteger middle = end.add(new BigInteger(shard.hashKeyRange().startingHashKey())).shiftRight(1);
        kinesis.splitShard(it -> it.streamName(name).shardToSplit(shard.shardId())
                .newStartingHashKey(middle.toString())).join();
        done("split", shard.shardId());
    }

    /** The two shards that are last in the order of hashes. */
    void merge() {
        List<Shard> shards = new ArrayList<>(open());
        shards.sort((one, other) -> new BigInteger(one.hashKeyRange().startingHashKey())
                .compareTo(new BigInteger(other.hashKeyRange().startingHashKey())));
        String left = shards.get(shards.size() - 2).shardId();
        String right = shards.get(shards.size() - 1).shardId();
        kinesis.mergeShards(it -> it.streamName(name).shardToMerge(left).adjacentShardToMerge(right)).join();
        done("merge", left + "," + right);
    }

    void updateShardCount() {
        kinesis.updateShardCount(it -> it.streamName(name).targetShardCount(SHARDS_AT_END)
                .scalingType(ScalingType.UNIFORM_SCALING)).join();
        done("update-shard-count", SHARDS_AT_END);
        Checks.check(open().size() == SHARDS_AT_END, "UpdateShardCount leaves the wanted number", open());
    }

    private void done(String what, Object of) {
        waitUntilActive();
        journal.note(what, "of", of, "open", ids(open()));
    }

    private void waitUntilActive() {
        Checks.eventually("the stream to be ACTIVE", () -> kinesis.describeStreamSummary(it -> it.streamName(name)).join()
                .streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE);
    }

    List<Shard> all() {
        return kinesis.listShards(it -> it.streamName(name)).join().shards();
    }

    List<Shard> open() {
        return kinesis.listShards(it -> it.streamName(name)
                .shardFilter(filter -> filter.type(ShardFilterType.AT_LATEST))).join().shards();
    }

    Set<String> openIds() {
        return open().stream().map(Shard::shardId).collect(Collectors.toCollection(TreeSet::new));
    }

    private static String ids(List<Shard> shards) {
        return shards.stream().map(Shard::shardId).collect(Collectors.joining(","));
    }

    /** Every shard's parents. */
    static Map<String, Set<String>> parents(List<Shard> shards) {
        Map<String, Set<String>> parents = new TreeMap<>();
        for (Shard shard : shards) {
            Set<String> of = new TreeSet<>();
            if (shard.parentShardId() != null) {
                of.add(shard.parentShardId());
            }
            if (shard.adjacentParentShardId() != null) {
                of.add(shard.adjacentParentShardId());
            }
            parents.put(shard.shardId(), of);
        }
        return parents;
    }

    /** The children of every shard that has some. */
    static Map<String, Set<String>> children(Map<String, Set<String>> parents) {
        Map<String, Set<String>> children = new TreeMap<>();
        parents.forEach((child, of) ->
                of.forEach(parent -> children.computeIfAbsent(parent, it -> new TreeSet<>()).add(child)));
        return children;
    }
}
