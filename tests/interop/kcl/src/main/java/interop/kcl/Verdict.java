package interop.kcl;

import static interop.kcl.Checks.refuses;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.model.Shard;

/** All that is asked of one application when it is over, a line for each; and that each question can be failed. */
final class Verdict {
    /** More than the KCL collects before it sends it to CloudWatch: that is ten seconds. */
    private static final long UNSENT_MICROS = 20_000_000;

    private final String name;
    private final List<Event> events;
    private final List<Shard> shards;
    private final Map<String, Set<String>> parents;
    private final Judge judge;
    private final Event stop;
    private final Event kill;
    private final String last;

    /** Which worker was stopped and which was killed is in the last two. */
    Verdict(String name, List<Event> events, Map<Producer.Place, String> acknowledged, List<Shard> shards,
            Event stop, Event kill) {
        this.name = name;
        this.events = events;
        this.shards = shards;
        this.parents = KinesisStream.parents(shards);
        this.judge = new Judge(events, acknowledged, parents);
        this.stop = stop;
        this.kill = kill;
        this.last = events.stream().map(Event::by).distinct()
                .filter(it -> !it.equals(stop.get("worker")) && !it.equals(kill.get("worker"))).findFirst().orElseThrow();
    }

    void all(Table table, DynamoDbAsyncClient dynamo, Figures figures) {
        Map<String, List<Table.Row>> seen = table.seen();
        List<Table.Row> rows = table.rows();
        logs();
        moves(seen);
        ok(Coordination.table(dynamo, name));
        leases(rows, seen);
        if (Tuning.HAS_LEADER) {
            coordination(rows, seen, dynamo);
        }
        ok(Protocol.check(name, judge));
        refuses("another way of reading", () -> Protocol.check(name.equals("polling") ? "default" : "polling", judge));
        metrics(figures);
    }

    private void ok(String what) {
        Checks.ok(name + ": " + what);
    }

    private void logs() {
        for (Function<Judge, String> rule : Judge.RULES) {
            ok(rule.apply(judge));
        }
        ok("the judge refuses logs with one fault: " + judge.mustRefuse());
    }

    private void moves(Map<String, List<Table.Row>> seen) {
        Moves moves = new Moves(events, KinesisStream.children(parents).keySet());
        ok(Tuning.HAS_LEADER ? moves.handedOver(seen, stop.at()) : moves.taken(stop.at()));
        ok(moves.afterStop(stop, seen));
        ok(moves.afterKill(kill));
        ok("the judge refuses moves with one fault: " + moves.mustRefuse(seen, stop, kill));
    }

    private void leases(List<Table.Row> rows, Map<String, List<Table.Row>> seen) {
        Map<String, String> lastProcessed = new HashMap<>();
        judge.of("record").forEach(event -> lastProcessed.put(event.shard(), event.get("seq")));
        Leases leases = new Leases(rows, shards, last, lastProcessed);
        ok(leases.all());
        ok("the judge refuses tables with one fault: " + leases.mustRefuse());
        ok(Leases.history(seen));
    }

    private void coordination(List<Table.Row> rows, Map<String, List<Table.Row>> seen, DynamoDbAsyncClient dynamo) {
        Map<String, Long> ended = new TreeMap<>();
        ended.put(stop.get("worker"), stop.at());
        ended.put(kill.get("worker"), kill.at());
        judge.of("stopping").stream().filter(event -> event.by().equals(last)).forEach(event -> ended.put(last, event.at()));
        ok(Coordination.index(dynamo, name, rows, last));
        ok(Coordination.leader(seen, rows, stop, kill));
        ok(Coordination.version(rows));
        ok(Coordination.workers(seen, ended));
        refuses("an index of another's leases", () -> Coordination.index(dynamo, name, rows, stop.get("worker")));
        refuses("a leader that was there before", () -> Coordination.leader(seen, rows, kill, stop));
        refuses("no version", () -> Coordination.version(List.of()));
        refuses("a worker that was silent",
                () -> Coordination.workers(seen, Map.of(stop.get("worker"), kill.at() + UNSENT_MICROS)));
    }

    private void metrics(Figures figures) {
        long processed = judge.of("record").size();
        long unsent = judge.of("record").stream().filter(event -> event.by().equals(kill.get("worker"))
                && event.at() > kill.at() - UNSENT_MICROS).count();
        long resumed = judge.of("started").stream()
                .filter(event -> Character.isDigit(event.get("checkpoint").charAt(0))).count();
        ok(figures.metrics());
        ok(figures.records(processed, resumed, unsent));
        refuses("fewer records than were counted", () -> figures.records(unsent, resumed, unsent));
        refuses("more records than were counted", () -> figures.records(processed + resumed + unsent + 1, resumed, unsent));
    }
}
