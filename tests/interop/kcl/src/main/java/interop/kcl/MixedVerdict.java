package interop.kcl;

import static interop.kcl.Checks.check;
import static interop.kcl.Checks.refuses;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.model.Shard;

/** All that is asked of a fleet of two kinds of workers when it is over, and that each question can be failed. */
final class MixedVerdict {
    private final List<Event> events;
    private final List<Shard> shards;
    private final Map<String, Set<String>> parents;
    private final Judge judge;
    private final List<Event> stops;
    private final Event kill;
    private final String last;

    MixedVerdict(List<Event> events, Map<Producer.Place, String> acknowledged, List<Shard> shards,
            List<Event> stops, Event kill, String last) {
        this.events = events;
        this.shards = shards;
        this.parents = KinesisStream.parents(shards);
        this.judge = new Judge(events, acknowledged, parents);
        this.stops = stops;
        this.kill = kill;
        this.last = last;
    }

    void all(Table table, DynamoDbAsyncClient dynamo, Event alone, Event back) {
        for (Function<Judge, String> rule : Judge.RULES) {
            Checks.ok(rule.apply(judge));
        }
        Checks.ok("the judge refuses logs with one fault: " + judge.mustRefuse());
        Checks.ok(crossings(events));
        refuses("a fleet of one kind", () -> crossings(events.stream().filter(it -> !isForeign(it.by())).toList()));
        Checks.ok(aloneBetween(alone, back, events));
        refuses("a Java worker that read while it should be gone",
                () -> aloneBetween(events.get(0), back, events));
        moves(table.seen());
        Checks.ok(Coordination.table(dynamo, table.name()));
        leases(table);
        if (Tuning.HAS_LEADER) {
            coordination(table, dynamo);
        }
    }

    private void moves(Map<String, List<Table.Row>> seen) {
        Moves moves = new Moves(events, KinesisStream.children(parents).keySet());
        for (Event stop : stops) {
            Checks.ok(moves.afterStop(stop, seen));
        }
        Checks.ok(moves.afterKill(kill));
        Moves idle = new Moves(events.stream().filter(it -> !it.is("started") || it.at() < stops.get(0).at()).toList(),
                KinesisStream.children(parents).keySet());
        stops.forEach(stop -> refuses("a stop after which nobody went on", () -> idle.afterStop(stop, seen)));
        refuses("a kill after which nobody went on", () -> idle.afterKill(kill));
    }

    private void leases(Table table) {
        Map<String, String> lastProcessed = new HashMap<>();
        judge.of("record").forEach(event -> lastProcessed.put(event.shard(), event.get("seq")));
        Leases leases = new Leases(table.rows(), shards, last, lastProcessed);
        Checks.ok(leases.all());
        Checks.ok("the judge refuses tables with one fault: " + leases.mustRefuse());
        Checks.ok(Leases.history(table.seen()));
    }

    private void coordination(Table table, DynamoDbAsyncClient dynamo) {
        Map<String, List<Table.Row>> seen = table.seen();
        String foreign = events.stream().map(Event::by).filter(MixedVerdict::isForeign).findFirst().orElseThrow();
        Checks.ok(Coordination.bothKindsLed(seen, foreign, last));
        refuses("a leader of the other kind who was not", () -> Coordination.bothKindsLed(seen, kill.get("worker"), last));
        Checks.ok(Coordination.index(dynamo, table.name(), table.rows(), last));
        Checks.ok(Coordination.version(table.rows()));
        Map<String, Long> killed = Map.of(kill.get("worker"), kill.at());
        Checks.ok(Coordination.workers(seen, killed));
        refuses("a worker that was silent", () -> Coordination.workers(seen, Map.of(foreign, kill.at())));
        Moves moves = new Moves(withoutStops(), KinesisStream.children(parents).keySet());
        Checks.ok(moves.handedOver(seen, kill.at()));
        refuses("a hand-over the table never showed", () -> moves.handedOver(Map.of(), kill.at()));
        Checks.ok(bothWays(seen));
        refuses("hand-overs the table never showed", () -> bothWays(Map.of()));
    }

    /** The events without the requests of workers that were stopping, which are no hand-overs. */
    private List<Event> withoutStops() {
        Map<String, Long> stopping = judge.of("stopping").stream().collect(Collectors.toMap(Event::by, Event::at));
        return events.stream().filter(it -> !it.is("requested")
                || it.at() < stopping.getOrDefault(it.by(), Long.MAX_VALUE)).toList();
    }

    /** Rows that named a worker of one kind as the next owner while one of the other kind still read. */
    private static String bothWays(Map<String, List<Table.Row>> seen) {
        Map<String, Long> ways = seen.values().stream().flatMap(List::stream)
                .filter(row -> row.text("checkpointOwner") != null && row.text("leaseOwner") != null)
                .map(row -> List.of(kind(row.text("checkpointOwner")), kind(row.text("leaseOwner")), row.key()))
                .distinct().collect(Collectors.groupingBy(it -> it.get(0) + " to " + it.get(1), TreeMap::new, Collectors.counting()));
        check(ways.keySet().containsAll(Set.of("Java to the other", "the other to Java")), "hand-overs one way only", ways);
        return "leases were handed over both ways: " + ways;
    }

    private static String kind(String worker) {
        return isForeign(worker) ? "the other" : "Java";
    }

    /** How often a shard went from a Java worker to a foreign one, and back. */
    private static String crossings(List<Event> events) {
        Map<String, String> reader = new TreeMap<>();
        int toForeign = 0;
        int toJava = 0;
        for (Event event : events) {
            if (!event.is("started")) {
                continue;
            }
            String before = reader.put(event.shard(), event.by());
            if (before != null && isForeign(before) != isForeign(event.by())) {
                toForeign += isForeign(event.by()) ? 1 : 0;
                toJava += isForeign(event.by()) ? 0 : 1;
            }
        }
        check(toForeign > 0 && toJava > 0, "shards did not go both ways", List.of(toForeign, toJava));
        return "shards went from Java to the other kind %d times, and back %d times".formatted(toForeign, toJava);
    }

    /** Whether all that was read between two times was read by the other kind. */
    private static String aloneBetween(Event from, Event until, List<Event> events) {
        Map<String, Long> readers = events.stream()
                .filter(event -> event.is("record") && event.at() > from.at() && event.at() < until.at())
                .collect(Collectors.groupingBy(Event::by, TreeMap::new, Collectors.counting()));
        check(readers.size() == 1 && isForeign(readers.keySet().iterator().next()), "others read", readers);
        return "without any Java worker the other kind read for %d ms: %s"
                .formatted((until.at() - from.at()) / 1000, readers);
    }

    private static boolean isForeign(String worker) {
        return worker.contains("-rust-");
    }
}
