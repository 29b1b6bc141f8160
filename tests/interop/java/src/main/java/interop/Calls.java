package interop;

import java.util.function.Function;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

/** The calls that the suite makes with the synchronous and the asynchronous client alike. */
record Calls(
        Function<CreateStreamRequest, CreateStreamResponse> createStream,
        Function<DescribeStreamSummaryRequest, DescribeStreamSummaryResponse> describeStreamSummary,
        Function<ListShardsRequest, ListShardsResponse> listShards,
        Function<PutRecordRequest, PutRecordResponse> putRecord,
        Function<PutRecordsRequest, PutRecordsResponse> putRecords,
        Function<GetShardIteratorRequest, GetShardIteratorResponse> getShardIterator,
        Function<GetRecordsRequest, GetRecordsResponse> getRecords,
        Function<SplitShardRequest, SplitShardResponse> splitShard,
        Function<MergeShardsRequest, MergeShardsResponse> mergeShards,
        Function<UpdateShardCountRequest, UpdateShardCountResponse> updateShardCount,
        Function<RegisterStreamConsumerRequest, RegisterStreamConsumerResponse> registerStreamConsumer,
        Function<DescribeStreamConsumerRequest, DescribeStreamConsumerResponse> describeStreamConsumer) {

    static Calls of(KinesisClient client) {
        return new Calls(client::createStream, client::describeStreamSummary, client::listShards,
                client::putRecord, client::putRecords, client::getShardIterator, client::getRecords,
                client::splitShard, client::mergeShards, client::updateShardCount,
                client::registerStreamConsumer, client::describeStreamConsumer);
    }

    static Calls of(KinesisAsyncClient client) {
        return new Calls(
                it -> client.createStream(it).join(),
                it -> client.describeStreamSummary(it).join(),
                it -> client.listShards(it).join(),
                it -> client.putRecord(it).join(),
                it -> client.putRecords(it).join(),
                it -> client.getShardIterator(it).join(),
                it -> client.getRecords(it).join(),
                it -> client.splitShard(it).join(),
                it -> client.mergeShards(it).join(),
                it -> client.updateShardCount(it).join(),
                it -> client.registerStreamConsumer(it).join(),
                it -> client.describeStreamConsumer(it).join());
    }

    /** Returns the stream's ARN. */
    String waitUntilActive(String stream) {
        DescribeStreamSummaryRequest request =
                DescribeStreamSummaryRequest.builder().streamName(stream).build();
        Checks.eventually(stream + " to be ACTIVE", () ->
                describeStreamSummary.apply(request).streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE);
        return describeStreamSummary.apply(request).streamDescriptionSummary().streamARN();
    }
}
