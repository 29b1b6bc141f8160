package interop;

import static interop.Checks.check;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionException;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

/** Looks for the SDK's classes behind the service's errors. Moves the clock, so it is last. */
final class Refusals {
    private static final String SHARD = "shardId-000000000000";

    private Refusals() {}

    static void run(KinesisClient client, KinesisAsyncClient netty, String stream) throws Exception {
        refuses(ResourceNotFoundException.class, () -> client.describeStreamSummary(it -> it.streamName("missing")));
        refuses(ResourceNotFoundException.class, () -> netty.describeStreamSummary(it -> it.streamName("missing")).join());
        client.createStream(it -> it.streamName(stream).shardCount(1));
        refuses(ResourceInUseException.class, () -> client.createStream(it -> it.streamName(stream).shardCount(1)));
        Calls.of(client).waitUntilActive(stream);
        refuses(InvalidArgumentException.class,
                () -> client.splitShard(it -> it.streamName(stream).shardToSplit(SHARD).newStartingHashKey("0")));
        refuses(ValidationException.class, () -> netty.putRecord(it -> it.streamName(stream)
                .partitionKey("k".repeat(257)).data(SdkBytes.fromUtf8String("x"))).join());

        String iterator = client.getShardIterator(it -> it.streamName(stream).shardId(SHARD)
                .shardIteratorType(ShardIteratorType.LATEST)).shardIterator();
        advance("301s");
        refuses(ExpiredIteratorException.class, () -> client.getRecords(it -> it.shardIterator(iterator)));

        if (System.getenv("INTEROP_SIGNED") != null) {
            AwsBasicCredentials wrong = AwsBasicCredentials.create(System.getenv("AWS_ACCESS_KEY_ID"), "wrong");
            try (KinesisClient stranger = KinesisClient.builder()
                    .credentialsProvider(StaticCredentialsProvider.create(wrong)).build()) {
                KinesisException refusal = refuses(KinesisException.class, stranger::listStreams);
                String code = refusal.awsErrorDetails().errorCode();
                check("a wrong secret is refused", code.equals("InvalidSignatureException"), refusal);
            }
            advance("1h");
            check("the SDK signs again, by the emulator's clock", client.listStreams().hasStreamNames(), "");
            check("so does the asynchronous one", netty.listStreams().join().hasStreamNames(), "");
        }
    }

    /** Moves the emulator's clock. */
    private static void advance(String by) throws Exception {
        Process advance = new ProcessBuilder(System.getenv("INTEROP_ADVANCE"), by).redirectErrorStream(true).start();
        String output = new String(advance.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        check("the emulator's clock can be moved", advance.waitFor() == 0, output);
    }

    private static <Kind extends Throwable> Kind refuses(Class<Kind> kind, Runnable call) {
        Throwable refusal = null;
        try {
            call.run();
        } catch (CompletionException failure) {
            refusal = failure.getCause();
        } catch (RuntimeException failure) {
            refusal = failure;
        }
        check(kind.getSimpleName(), kind.isInstance(refusal), refusal);
        return kind.cast(refusal);
    }
}
