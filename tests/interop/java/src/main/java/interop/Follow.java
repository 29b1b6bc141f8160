package interop;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;

/** Reads shards from generation to generation: a child when all its parents are read to their ends. */
final class Follow {
    /** The partition key of the last record of each open shard. */
    static final String END = "end";

    /** Passes on the records of a shard, and returns the children at the end of a closed one. */
    interface Reader {
        List<ChildShard> read(String shard, Consumer<Record> see) throws Exception;
    }

    private Follow() {}

    static List<Ledger.Delivered> all(List<String> roots, Reader reader) throws Exception {
        List<Ledger.Delivered> seen = Collections.synchronizedList(new ArrayList<>());
        ExecutorService threads = Executors.newCachedThreadPool();
        ExecutorCompletionService<List<ChildShard>> reading = new ExecutorCompletionService<>(threads);
        Map<Future<List<ChildShard>>, String> shards = new HashMap<>();
        Consumer<String> start = shard -> shards.put(
                reading.submit(() -> reader.read(shard, record -> seen.add(new Ledger.Delivered(shard, record)))), shard);
        Set<String> finished = new HashSet<>();
        roots.forEach(start);
        while (!shards.isEmpty()) {
            Future<List<ChildShard>> ended = reading.take();
            finished.add(shards.remove(ended));
            for (ChildShard child : ended.get()) {
                if (finished.containsAll(child.parentShards())) {
                    start.accept(child.shardId());
                }
            }
        }
        threads.shutdown();
        return seen;
    }

    static Reader byGetRecords(Calls calls, String stream) {
        return (shard, see) -> {
            String iterator = calls.getShardIterator().apply(GetShardIteratorRequest.builder().streamName(stream)
                    .shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON).build()).shardIterator();
            while (true) {
                GetRecordsResponse page = calls.getRecords().apply(
                        GetRecordsRequest.builder().shardIterator(iterator).limit(50).build());
                for (Record record : page.records()) {
                    if (record.partitionKey().equals(END)) {
                        return List.of();
                    }
                    see.accept(record);
                }
                iterator = page.nextShardIterator();
                if ((iterator == null) != page.hasChildShards()) {
                    throw new AssertionError("either an iterator or children: " + page);
                }
                if (iterator == null) {
                    return page.childShards();
                }
                if (page.records().isEmpty()) {
                    Checks.pause(20);
                }
            }
        };
    }

    static Reader bySubscription(KinesisAsyncClient client, String consumer) {
        return (shard, see) -> {
            // Completed by the event that ends the shard, or by the last record of an open one.
            CompletableFuture<List<ChildShard>> end = new CompletableFuture<>();
            Consumer<SubscribeToShardEvent> visit = event -> {
                for (Record record : event.records()) {
                    if (record.partitionKey().equals(END)) {
                        end.complete(List.of());
                        return;
                    }
                    see.accept(record);
                }
                boolean isLast = event.hasChildShards() && !event.childShards().isEmpty();
                if (isLast != (event.continuationSequenceNumber() == null)) {
                    end.completeExceptionally(new AssertionError("either a continuation or children: " + event));
                } else if (isLast) {
                    end.complete(event.childShards());
                }
            };
            SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
                    .subscriber(SubscribeToShardResponseHandler.Visitor.builder()
                            .onSubscribeToShardEvent(visit).build())
                    .build();
            CompletableFuture<Void> subscription = client.subscribeToShard(request -> request
                    .consumerARN(consumer).shardId(shard)
                    .startingPosition(position -> position.type(ShardIteratorType.TRIM_HORIZON)), handler);
            subscription.whenComplete((nothing, failure) -> end.completeExceptionally(failure != null
                    ? failure : new AssertionError("the subscription to " + shard + " ended without children")));
            List<ChildShard> children = end.get();
            subscription.cancel(true);
            return children;
        };
    }
}
