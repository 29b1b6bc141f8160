package interop;

import static interop.Checks.check;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;

/** Puts four different payloads and reads them from every kind of position. */
final class Reading {
    private static final String KEY = "ключ-🔑";

    private Reading() {}

    static void run(Calls calls, String stream) {
        calls.createStream().apply(CreateStreamRequest.builder().streamName(stream).shardCount(1).build());
        String arn = calls.waitUntilActive(stream);
        byte[] everyByte = new byte[256];
        for (int index = 0; index < everyByte.length; index++) {
            everyByte[index] = (byte) index;
        }
        List<SdkBytes> payloads = List.of(
                SdkBytes.fromUtf8String("first"),
                SdkBytes.fromByteArray(everyByte),
                SdkBytes.fromByteArray(new byte[0]),
                SdkBytes.fromByteArray(new byte[1_000_000]));
        List<String> sequences = new ArrayList<>();
        for (SdkBytes data : payloads) {
            PutRecordRequest put = PutRecordRequest.builder().streamARN(arn).partitionKey(KEY).data(data).build();
            sequences.add(calls.putRecord().apply(put).sequenceNumber());
            Checks.pause(5); // so that no two arrive in one millisecond
        }

        List<Record> all = read(calls, arn, start -> start.shardIteratorType(ShardIteratorType.TRIM_HORIZON));
        check("TRIM_HORIZON starts at the first record", startsAt(all, sequences, 0), all.size());
        for (int index = 0; index < payloads.size(); index++) {
            check("a payload and its key come back as they were put",
                    all.get(index).data().equals(payloads.get(index)) && all.get(index).partitionKey().equals(KEY), index);
            check("an arrival time is of just now", Checks.isNow(all.get(index).approximateArrivalTimestamp()),
                    all.get(index).approximateArrivalTimestamp());
        }
        List<Record> found = read(calls, arn, start -> start.shardIteratorType(ShardIteratorType.AT_TIMESTAMP)
                .timestamp(all.get(2).approximateArrivalTimestamp()));
        check("AT_TIMESTAMP starts at the record of that millisecond", startsAt(found, sequences, 2), found.size());
        found = read(calls, arn, start -> start.shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER)
                .startingSequenceNumber(sequences.get(1)));
        check("AT_SEQUENCE_NUMBER starts at the record", startsAt(found, sequences, 1), found.size());
        found = read(calls, arn, start -> start.shardIteratorType(ShardIteratorType.AFTER_SEQUENCE_NUMBER)
                .startingSequenceNumber(sequences.get(1)));
        check("AFTER_SEQUENCE_NUMBER starts behind it", startsAt(found, sequences, 2), found.size());
        found = read(calls, arn, start -> start.shardIteratorType(ShardIteratorType.LATEST));
        check("LATEST starts behind all", found.isEmpty(), found.size());
    }

    private static boolean startsAt(List<Record> records, List<String> sequences, int index) {
        return records.size() == sequences.size() - index
                && records.get(0).sequenceNumber().equals(sequences.get(index));
    }

    private static List<Record> read(Calls calls, String arn, Consumer<GetShardIteratorRequest.Builder> position) {
        GetShardIteratorRequest start = GetShardIteratorRequest.builder()
                .streamARN(arn).shardId("shardId-000000000000").applyMutation(position).build();
        String iterator = calls.getShardIterator().apply(start).shardIterator();
        GetRecordsResponse page =
                calls.getRecords().apply(GetRecordsRequest.builder().shardIterator(iterator).build());
        check("who has read all is not behind", page.millisBehindLatest() == 0, page.millisBehindLatest());
        return page.records();
    }
}
