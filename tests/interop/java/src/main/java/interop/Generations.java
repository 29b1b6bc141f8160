package interop;

import static interop.Checks.check;
import static interop.Checks.number;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;

/**
 * Producers, reshards and readers at the same time; then every record must have been read once.
 *
 * <p>Producers write numbered records to their own keys, each with another HTTP client, while the stream
 * is split, merged and resized. Two readers start before them, one by GetRecords and one by
 * SubscribeToShard, and follow the shards.
 */
final class Generations {
    private Generations() {}

    static void run(Calls[] clients, KinesisAsyncClient subscriber, String stream) throws Exception {
        Calls calls = clients[0];
        calls.createStream().apply(CreateStreamRequest.builder()
                .streamName(stream).shardCount(number("SHARDS_AT_START")).build());
        String consumer = register(calls, calls.waitUntilActive(stream));
        List<String> roots = openShards(calls, stream).stream().map(Shard::shardId).toList();
        Ledger ledger = new Ledger();
        ExecutorService threads = Executors.newCachedThreadPool();
        Future<List<Ledger.Delivered>> polled =
                threads.submit(() -> Follow.all(roots, Follow.byGetRecords(calls, stream)));
        Future<List<Ledger.Delivered>> pushed =
                threads.submit(() -> Follow.all(roots, Follow.bySubscription(subscriber, consumer)));
        List<Future<?>> producers = new ArrayList<>();
        for (int producer = 0; producer < number("PRODUCERS"); producer++) {
            int index = producer;
            producers.add(threads.submit(() -> produce(clients[index % clients.length], stream, ledger, index)));
        }
        reshard(calls, stream, ledger);
        ledger.finish();
        for (Future<?> producer : producers) {
            producer.get();
        }
        for (Shard shard : openShards(calls, stream)) {
            calls.putRecord().apply(PutRecordRequest.builder().streamName(stream).partitionKey(Follow.END)
                    .explicitHashKey(shard.hashKeyRange().startingHashKey())
                    .data(SdkBytes.fromUtf8String(Follow.END)).build());
        }
        ledger.verify("GetRecords", polled.get(number("PATIENCE_SECONDS"), TimeUnit.SECONDS));
        ledger.verify("SubscribeToShard", pushed.get(number("PATIENCE_SECONDS"), TimeUnit.SECONDS));
        check("records were written before, between and after the reshards", ledger.shards().size() >= 7, ledger.shards());
        threads.shutdown();
    }

    private static String register(Calls calls, String stream) {
        Consumer consumer = calls.registerStreamConsumer().apply(RegisterStreamConsumerRequest.builder()
                .streamARN(stream).consumerName("reader").build()).consumer();
        check("a consumer is as old as it is", Checks.isNow(consumer.consumerCreationTimestamp()), consumer);
        DescribeStreamConsumerRequest request =
                DescribeStreamConsumerRequest.builder().consumerARN(consumer.consumerARN()).build();
        Checks.eventually("the consumer", () -> calls.describeStreamConsumer().apply(request)
                .consumerDescription().consumerStatus() == ConsumerStatus.ACTIVE);
        return consumer.consumerARN();
    }

    /** Rounds of one record for each key; the first producer sends each by itself. */
    private static void produce(Calls calls, String stream, Ledger ledger, int producer) {
        while (!ledger.isDone()) {
            List<PutRecordsRequestEntry> batch = new ArrayList<>();
            for (int index = 0; index < number("KEYS_PER_PRODUCER"); index++) {
                String key = "producer-" + producer + "-key-" + index;
                batch.add(PutRecordsRequestEntry.builder().partitionKey(key).data(ledger.next(key)).build());
            }
            if (producer == 0) {
                for (PutRecordsRequestEntry record : batch) {
                    PutRecordResponse put = calls.putRecord().apply(PutRecordRequest.builder().streamName(stream)
                            .partitionKey(record.partitionKey()).data(record.data()).build());
                    ledger.note(record.partitionKey(), put.shardId(), put.sequenceNumber());
                }
                continue;
            }
            PutRecordsResponse put =
                    calls.putRecords().apply(PutRecordsRequest.builder().streamName(stream).records(batch).build());
            for (int index = 0; index < batch.size(); index++) {
                PutRecordsResultEntry placed = put.records().get(index);
                ledger.note(batch.get(index).partitionKey(), placed.shardId(), placed.sequenceNumber());
            }
        }
    }

    private static List<Shard> openShards(Calls calls, String stream) {
        return calls.listShards().apply(ListShardsRequest.builder().streamName(stream)
                .shardFilter(filter -> filter.type(ShardFilterType.AT_LATEST)).build()).shards();
    }

    private static void areOpen(String what, List<Shard> shards, Integer... wanted) {
        List<String> names = List.of(wanted).stream().map(Generations::name).toList();
        check(what, shards.stream().map(Shard::shardId).toList().equals(names), shards);
    }

    private static String name(int index) {
        return "shardId-%012d".formatted(index);
    }

    /** Split, merge, UpdateShardCount, with records before, between and after. */
    private static void reshard(Calls calls, String stream, Ledger ledger) {
        List<Shard> shards = openShards(calls, stream);
        areOpen("the stream starts with its shards", shards, 0, 1);
        BigInteger end = new BigInteger(shards.get(0).hashKeyRange().endingHashKey());
        String middle = end.add(BigInteger.ONE).shiftRight(1).toString();

        ledger.waitForAGeneration();
        calls.splitShard().apply(SplitShardRequest.builder().streamName(stream)
                .shardToSplit(name(0)).newStartingHashKey(middle).build());
        calls.waitUntilActive(stream);
        areOpen("a split leaves two children", openShards(calls, stream), 1, 2, 3);

        ledger.waitForAGeneration();
        calls.mergeShards().apply(MergeShardsRequest.builder().streamName(stream)
                .shardToMerge(name(3)).adjacentShardToMerge(name(1)).build());
        calls.waitUntilActive(stream);
        shards = openShards(calls, stream);
        areOpen("a merge leaves one child", shards, 2, 4);
        Shard merged = shards.get(1);
        check("a merged shard names both parents", name(3).equals(merged.parentShardId())
                && name(1).equals(merged.adjacentParentShardId()), merged);

        ledger.waitForAGeneration();
        int count = number("SHARDS_AT_END");
        calls.updateShardCount().apply(UpdateShardCountRequest.builder().streamName(stream)
                .targetShardCount(count).scalingType(ScalingType.UNIFORM_SCALING).build());
        calls.waitUntilActive(stream);
        shards = openShards(calls, stream);
        check("UpdateShardCount leaves the wanted number", shards.size() == count, shards);
        ledger.waitForAGeneration();
    }
}
