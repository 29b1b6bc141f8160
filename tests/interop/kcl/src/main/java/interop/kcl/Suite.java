package interop.kcl;

import static interop.kcl.Checks.check;
import static interop.kcl.Checks.eventually;
import static interop.kcl.Checks.ok;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;
import java.util.stream.Stream;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.kinesis.common.KinesisClientUtil;

/**
 * The unmodified KCL against the emulator: {@code Suite LOGS APPLICATION...}, where an application named
 * "polling" polls and any other reads as the KCL defaults.
 *
 * <p>All applications read one stream at the same time, each with workers that are processes of their
 * own: a first, a second that joins, a third in place of the one that is stopped. Meanwhile a producer
 * writes and the stream is split, merged and resized. Then the one who leads is killed. What the workers
 * logged, what is in their tables and what CloudWatch was told is judged in the end.
 */
public final class Suite {
    /** Longer than the leader waits before it looks again who should have what. */
    private static final long REST_MICROS = 4_000_000;

    private final Path logs;
    private final Journal journal;
    private final KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder());
    private final DynamoDbAsyncClient dynamo = DynamoDbAsyncClient.create();
    private final CloudWatchAsyncClient cloudWatch = CloudWatchAsyncClient.create();
    private final KinesisStream stream;
    private final Producer producer;
    private final Instant started = Instant.now();
    private final List<Application> applications = new ArrayList<>();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    private record Application(String name, Fleet fleet, Table table, List<Event> acts) {
        Event act(String name) {
            return acts.stream().filter(event -> event.is(name)).findFirst().orElseThrow();
        }
    }

    private Suite(Path logs) throws Exception {
        this.logs = logs;
        this.journal = Journal.create("suite", logs.resolve("suite.log"));
        this.stream = new KinesisStream(kinesis, "orders", journal);
        this.producer = new Producer(kinesis, stream.name(), Journal.create("producer", logs.resolve("producer.log")));
    }

    public static void main(String[] arguments) throws Exception {
        Path logs = Path.of(arguments[0]);
        empty(logs);
        Suite suite = new Suite(logs);
        int status = 1;
        try {
            suite.run(List.of(arguments).subList(1, arguments.length));
            status = 0;
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.err.println("the logs of all workers are in " + logs);
        } finally {
            suite.applications.forEach(it -> it.fleet().killAll());
        }
        System.exit(status);
    }

    static void empty(Path directory) throws Exception {
        Files.createDirectories(directory);
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
    }

    private void run(List<String> names) throws Exception {
        stream.create();
        for (String name : names) {
            applications.add(new Application(name, new Fleet(name, stream.name(), logs, journal),
                    new Table(dynamo, name, Journal.create("table", logs.resolve(name + ".table.log"))), new ArrayList<>()));
        }
        applications.forEach(it -> spawn(it.table()));
        Thread writer = spawn(producer);
        join("a");
        reshard();
        replace();
        lose();
        producer.finish();
        writer.join();
        eventually("everything to be processed", () -> all(this::hasProcessedEverything));
        end();
        List<Shard> shards = stream.all();
        for (Application it : applications) {
            new Verdict(it.name(), it.fleet().events(), producer.acknowledged(), shards, it.act("sigterm"), it.act("sigkill"))
                    .all(it.table(), dynamo, new Figures(cloudWatch, it.name(), started));
        }
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

    private boolean all(Predicate<Application> holds) {
        for (Application it : applications) {
            it.fleet().areAlive();
        }
        if (failure.get() != null) {
            throw new AssertionError("a thread has failed", failure.get());
        }
        return applications.stream().allMatch(holds);
    }

    /** The first worker has all shards before the second joins and gets some of them. */
    private void join(String first) throws Exception {
        startAll(first);
        eventually("the first worker to read all shards", () -> all(it -> isReading(it, 0)));
        startAll("b");
        long since = now();
        eventually("the second worker to get shards", () -> all(it -> everyoneHas(it) && isReading(it, since)));
    }

    private void reshard() {
        stream.split();
        awaitReading("the children of the split");
        stream.merge();
        awaitReading("the child of the merge");
        stream.updateShardCount();
        awaitReading("the children of UpdateShardCount");
    }

    private void awaitReading(String what) {
        long since = now();
        eventually(what + " to be read", () -> all(it -> isReading(it, since)));
    }

    /**
     * The leader is stopped, and a third worker takes its place. Where shards are handed over, that comes to
     * rest first: in the KCL, a stop and a hand-over of the same shard each tell its processor in the other's
     * place.
     */
    private void replace() throws Exception {
        startAll("c");
        if (Tuning.HAS_LEADER) {
            eventually("the third worker to be counted with, and all hand-overs to end", () -> all(it ->
                    it.table().knows(it.name() + "-c") && it.table().isAtRest(REST_MICROS) && leaderHasShards(it)));
        }
        act("sigterm", Fleet::stop);
        long since = now();
        eventually("the others to read all shards after the stop", () -> all(it -> isReading(it, since)
                && (!Tuning.HAS_LEADER || leaderHasShards(it))));
    }

    /** The new leader is killed. */
    private void lose() throws Exception {
        act("sigkill", Fleet::kill);
        long since = now();
        eventually("the last worker to read all shards after the kill",
                () -> all(it -> isReading(it, since) && hasNewLeader(it)));
    }

    private void end() throws Exception {
        for (Application it : applications) {
            it.fleet().stop(it.fleet().live().get(0).id());
        }
        Checks.pause(500); // The tables are looked at once more.
        applications.forEach(it -> it.table().finish());
    }

    private void startAll(String worker) throws Exception {
        for (Application it : applications) {
            it.fleet().start(worker);
        }
    }

    private interface Act {
        void on(Fleet fleet, String worker) throws Exception;
    }

    private void act(String name, Act act) throws Exception {
        for (Application it : applications) {
            String leader = leader(it);
            it.acts().add(journal.event(name, "worker", leader));
            act.on(it.fleet(), leader);
        }
    }

    private long now() {
        return journal.event("now").at();
    }

    /** The live worker that leads; without leaders the one that reads most. */
    private String leader(Application it) {
        if (!Tuning.HAS_LEADER) {
            return it.fleet().live().stream().max(Comparator.comparing(member -> member.holds().size())).orElseThrow().id();
        }
        return tableLeader(it).orElseThrow(() -> new AssertionError("the leader is gone")).id();
    }

    private boolean hasNewLeader(Application it) {
        return !Tuning.HAS_LEADER || tableLeader(it).isPresent();
    }

    /** The live worker that the table calls the leader. */
    private Optional<Fleet.Member> tableLeader(Application it) {
        List<Table.Row> history = it.table().seen().getOrDefault("Leader", List.of());
        return history.isEmpty() ? Optional.empty() : it.fleet().live().stream()
                .filter(member -> member.id().equals(history.get(history.size() - 1).text("ownerName"))).findFirst();
    }

    private boolean leaderHasShards(Application it) {
        return tableLeader(it).filter(leader -> !leader.holds().isEmpty()).isPresent();
    }

    private boolean everyoneHas(Application it) {
        return it.fleet().live().stream().noneMatch(member -> member.holds().isEmpty()) && hasNewLeader(it);
    }

    /** Whether live workers have read records of every open shard since a time. */
    private boolean isReading(Application it, long since) {
        return it.fleet().isReading(stream.openIds(), since);
    }

    private boolean hasProcessedEverything(Application it) {
        return it.fleet().hasProcessed(producer.acknowledged().keySet());
    }
}
