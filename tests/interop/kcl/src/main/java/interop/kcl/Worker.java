package interop.kcl;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.coordinator.WorkerStateChangeListener;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.RetrievalConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker, as the KCL's guide has it: {@code Worker STREAM APPLICATION ID default|polling}. Its clients
 * find the emulator by AWS_ENDPOINT_URL. SIGTERM stops it gracefully.
 */
public final class Worker {
    /** Longer than the KCL collects what it then sends to CloudWatch. */
    private static final long GRACE_SECONDS = 15;

    private Worker() {}

    public static void main(String[] arguments) {
        String stream = arguments[0];
        String application = arguments[1];
        Journal journal = new Journal(arguments[2], new FileOutputStream(FileDescriptor.out));
        Wire wire = new Wire(journal);
        ClientOverrideConfiguration watched = ClientOverrideConfiguration.builder()
                .addExecutionInterceptor(wire).addMetricPublisher(wire).build();
        KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(
                KinesisAsyncClient.builder().overrideConfiguration(watched));
        DynamoDbAsyncClient dynamo = DynamoDbAsyncClient.builder().overrideConfiguration(watched).build();
        CloudWatchAsyncClient cloudWatch = CloudWatchAsyncClient.builder().overrideConfiguration(watched).build();
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, InitialPositionInStreamExtended.newInitialPosition(
                        InitialPositionInStream.TRIM_HORIZON)),
                application, kinesis, dynamo, cloudWatch, arguments[2], () -> new Processor(journal));
        RetrievalConfig retrieval = configs.retrievalConfig();
        if (arguments[3].equals("polling")) {
            retrieval.retrievalSpecificConfig(new PollingConfig(stream, kinesis));
        }
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                Tuning.of(configs.coordinatorConfig()).workerStateChangeListener(listener(journal)),
                Tuning.of(configs.leaseManagementConfig()),
                configs.lifecycleConfig(), configs.metricsConfig(), configs.processorConfig(), retrieval);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(scheduler, journal)));
        scheduler.run();
        journal.note("returned");
    }

    private static WorkerStateChangeListener listener(Journal journal) {
        return new WorkerStateChangeListener() {
            @Override
            public void onWorkerStateChange(WorkerState state) {
                journal.note("state", "is", state);
            }

            @Override
            public void onAllInitializationAttemptsFailed(Throwable failure) {
                journal.note("trouble", "what", failure);
            }
        };
    }

    private static void stop(Scheduler scheduler, Journal journal) {
        journal.note("stopping");
        try {
            boolean graceful = scheduler.startGracefulShutdown().get(GRACE_SECONDS, TimeUnit.SECONDS);
            journal.note("stopped", "graceful", graceful);
        } catch (TimeoutException late) {
            journal.note("stopped", "graceful", "late");
        } catch (InterruptedException | ExecutionException failure) {
            journal.note("trouble", "what", failure);
        }
    }
}
