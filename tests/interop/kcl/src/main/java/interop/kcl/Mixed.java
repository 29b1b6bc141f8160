package interop.kcl;

import static interop.kcl.Checks.check;
import static interop.kcl.Checks.eventually;
import static interop.kcl.Checks.ok;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.KinesisClientUtil;

/**
 * Workers of the unmodified KCL and of another library in one fleet: {@code Mixed LOGS PROGRAM v2|v3}, where
 * PROGRAM is run as the other worker and told stream, application, id and v2 or v3.
 *
 * <p>Two Java workers run, a foreign one joins, and the Java workers are stopped one after the other while the
 * stream is resharded. The foreign one is alone for a while. Then Java comes back, and the foreign worker is
 * stopped; another one joins and is killed. What all logged and what the table showed is judged in the end.
 */
public final class Mixed {
    private static final String APPLICATION = "mixed";
    /** Long enough for every shard to be checkpointed, by whoever reads it. */
    private static final int ALONE_MILLIS = 2_500;

    private final Journal journal;
    private final KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder());
    private final DynamoDbAsyncClient dynamo = DynamoDbAsyncClient.create();
    private final KinesisStream stream;
    private final Producer producer;
    private final Fleet fleet;
    private final Table table;
    private final List<String> program;
    private final String mode;
    private final List<Event> stops = new ArrayList<>();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    private Mixed(Path logs, String program, String mode) throws Exception {
        this.journal = Journal.create("suite", logs.resolve("suite.log"));
        this.stream = new KinesisStream(kinesis, "orders", journal);
        this.producer = new Producer(kinesis, stream.name(), Journal.create("producer", logs.resolve("producer.log")));
        this.fleet = new Fleet(APPLICATION, stream.name(), logs, journal);
        this.table = new Table(dynamo, APPLICATION, Journal.create("table", logs.resolve("table.log")));
        this.program = List.of(program);
        this.mode = mode;
    }

    public static void main(String[] arguments) throws Exception {
        Path logs = Path.of(arguments[0]);
        Suite.empty(logs);
        Mixed mixed = new Mixed(logs, arguments[1], arguments[2]);
        int status = 1;
        try {
            mixed.run();
            status = 0;
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.err.println("the logs of all workers are in " + logs);
        } finally {
            mixed.fleet.killAll();
        }
        System.exit(status);
    }

    private void run() throws Exception {
        stream.create();
        spawn(table);
        Thread writer = spawn(producer);
        fleet.start("java-a");
        if (Tuning.HAS_LEADER) {
            // Of two that write the first row of a table at once, the KCL 3.5.1 lets one fail for good.
            eventually("the first Java worker to agree on a version", () -> holds(() -> table.seen().containsKey("Migration3.0")));
        }
        fleet.start("java-b");
        awaitShare("java-a");
        awaitShare("java-b");
        startForeign("rust-c");
        awaitShare("rust-c");
        stream.split();
        awaitReading("the children of the split to be read");
        stop("java-a");
        stream.merge();
        awaitReading("the child of the merge to be read");
        stop("java-b");
        Event alone = journal.event("alone");
        stream.updateShardCount();
        awaitReading("the foreign worker to read all shards alone");
        Checks.pause(ALONE_MILLIS);
        fleet.start("java-d");
        Event back = journal.event("back");
        awaitShare("java-d");
        stop("rust-c");
        startForeign("rust-e");
        awaitShare("rust-e");
        Checks.pause(ALONE_MILLIS);
        Event kill = journal.event("sigkill", "worker", APPLICATION + "-rust-e");
        fleet.kill(APPLICATION + "-rust-e");
        eventually("the Java worker to take over after the kill", () -> holds(() -> hasTakenOver(kill)));
        awaitReading("the Java worker to read all shards after the kill");
        producer.finish();
        writer.join();
        eventually("everything to be processed", () -> holds(() -> fleet.hasProcessed(producer.acknowledged().keySet())));
        fleet.stop(APPLICATION + "-java-d");
        Checks.pause(500); // The table is looked at once more.
        table.finish();
        new MixedVerdict(fleet.events(), producer.acknowledged(), stream.all(), stops, kill, APPLICATION + "-java-d")
                .all(table, dynamo, alone, back);
        check(producer.rate() > 0.95 * Producer.RECORDS_A_SECOND, "the producer was slow", producer.rate());
        ok("the producer wrote %.0f records a second, %d in all".formatted(producer.rate(), producer.count()));
    }

    private Thread spawn(Runnable what) {
        Thread thread = new Thread(what);
        thread.setDaemon(true);
        thread.setUncaughtExceptionHandler((it, thrown) -> failure.set(thrown));
        thread.start();
        return thread;
    }

    private void startForeign(String name) throws Exception {
        fleet.start(name, program, mode);
    }

    private void stop(String name) throws Exception {
        stops.add(journal.event("sigterm", "worker", APPLICATION + "-" + name));
        fleet.stop(APPLICATION + "-" + name);
        awaitReading("the others to read all shards after the stop of " + name);
    }

    private void awaitReading(String what) {
        long since = journal.event("now").at();
        eventually(what, () -> holds(() -> fleet.isReading(stream.openIds(), since)));
    }

    /** A worker that joins gets shards, and reads them. */
    private void awaitShare(String name) {
        long since = journal.event("now").at();
        Fleet.Member member = fleet.member(APPLICATION + "-" + name);
        eventually(name + " to get shards", () -> holds(() -> member.holds().stream().anyMatch(stream.openIds()::contains)
                && member.log().events().stream().anyMatch(event -> event.is("record") && event.at() > since)
                && fleet.isReading(stream.openIds(), since)));
    }

    /** Whether others have started all that the killed worker read. */
    private boolean hasTakenOver(Event kill) {
        Set<String> shards = new TreeSet<>(fleet.member(kill.get("worker")).holds());
        for (Fleet.Member member : fleet.live()) {
            member.log().events().stream().filter(event -> event.is("started") && event.at() > kill.at())
                    .forEach(event -> shards.remove(event.shard()));
        }
        return shards.isEmpty();
    }

    private boolean holds(BooleanSupplier what) {
        fleet.areAlive();
        if (failure.get() != null) {
            throw new AssertionError("a thread has failed", failure.get());
        }
        return what.getAsBoolean();
    }
}
