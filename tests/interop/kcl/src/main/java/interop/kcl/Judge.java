package interop.kcl;

import static interop.kcl.Checks.check;

import java.math.BigInteger;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * What the logs of one application's workers must show, given what the producer was told and who comes
 * from whom. Each rule answers with its figures, or throws.
 */
final class Judge {
    static final List<Function<Judge, String>> RULES = List.of(
            Judge::everyRecord, Judge::inOrder, Judge::parentsFirst, Judge::nothingAfresh, Judge::noTrouble);

    private final List<Event> events;
    private final Map<Producer.Place, String> acknowledged;
    private final Map<String, Set<String>> parents;

    Judge(List<Event> events, Map<Producer.Place, String> acknowledged, Map<String, Set<String>> parents) {
        this.events = events;
        this.acknowledged = acknowledged;
        this.parents = parents;
    }

    String everyRecord() {
        Set<Producer.Place> processed = new HashSet<>();
        int calls = 0;
        for (Event event : of("record")) {
            Producer.Place place = new Producer.Place(event.shard(), event.get("seq"));
            check(event.get("data").equals(acknowledged.get(place)), "a record that nobody put there", event);
            check(event.get("data").startsWith(event.get("key") + "/"), "a record of another key", event);
            processed.add(place);
            calls++;
        }
        Set<Producer.Place> missing = new HashSet<>(acknowledged.keySet());
        missing.removeAll(processed);
        check(missing.isEmpty(), "records are missing", missing);
        check(!acknowledged.isEmpty(), "there were no records", "");
        return "every acknowledged record was processed at least once: %d acknowledged, %d processed, %d of them again"
                .formatted(acknowledged.size(), calls, calls - processed.size());
    }

    /** Each worker's turn at a shard goes upwards, and so does each key when its records first come. */
    String inOrder() {
        Map<String, BigInteger> last = new HashMap<>();
        Map<String, Integer> next = new HashMap<>();
        int turns = 0;
        for (Event event : events) {
            String turn = event.by() + " " + event.shard();
            if (event.is("started")) {
                last.put(turn, position(event.get("checkpoint")));
                turns++;
            } else if (event.is("record")) {
                BigInteger position = position(event.get("seq"));
                check(last.containsKey(turn), "a record before its shard was started", event);
                check(position.compareTo(last.put(turn, position)) > 0, "a shard's records are out of order", event);
                int number = Integer.parseInt(event.get("data").split("/")[1]);
                int expected = next.getOrDefault(event.get("key"), 0);
                check(number <= expected, "a key's records are out of order, " + expected + " was next", event);
                next.put(event.get("key"), Math.max(expected, number + 1));
            }
        }
        return "records came in the order of their shard and of their key: %d turns at shards, %d keys"
                .formatted(turns, next.size());
    }

    /** The shards that a resize opens and closes at once have no records, but are started and ended as all are. */
    String parentsFirst() {
        Map<String, Long> started = first("started");
        Map<String, Long> firstRecord = first("record");
        Map<String, Long> ended = first("ended");
        Map<String, Long> lastRecord = new HashMap<>();
        of("record").forEach(event -> lastRecord.put(event.shard(), event.at()));
        int pairs = 0;
        int withRecords = 0;
        for (Map.Entry<String, Set<String>> entry : parents.entrySet()) {
            for (String parent : entry.getValue()) {
                String pair = entry.getKey() + " of " + parent;
                check(started.containsKey(entry.getKey()), "a child was never started", pair);
                check(ended.containsKey(parent), "a parent has not ended", pair);
                long begin = Math.min(started.get(entry.getKey()), firstRecord.getOrDefault(entry.getKey(), Long.MAX_VALUE));
                check(ended.get(parent) < begin, "a child was read before its parent ended", pair);
                check(lastRecord.getOrDefault(parent, 0L) < begin, "a child was read before its parent's last record", pair);
                pairs++;
                withRecords += firstRecord.containsKey(entry.getKey()) && lastRecord.containsKey(parent) ? 1 : 0;
            }
        }
        check(withRecords >= 4, "too few pairs of child and parent had records", pairs);
        Map<String, Set<String>> children = KinesisStream.children(parents);
        for (Event event : of("children")) {
            check(Set.of(event.get("of").split(",")).equals(children.get(event.shard())), "other children", event);
        }
        check(ended.keySet().equals(children.keySet()), "not just the parents have ended", ended.keySet());
        return "children were read after their parents: %d shards, %d ended, %d pairs of child and parent, %d with records"
                .formatted(parents.size(), ended.size(), pairs, withRecords);
    }

    private Map<String, Long> first(String name) {
        Map<String, Long> first = new HashMap<>();
        of(name).forEach(event -> first.putIfAbsent(event.shard(), event.at()));
        return first;
    }

    /** A turn starts where the last checkpoint before it was, or later. */
    String nothingAfresh() {
        Map<String, BigInteger> checkpoints = new TreeMap<>();
        int written = 0;
        for (Event event : events) {
            if (event.is("checkpointed") && !event.get("seq").equals("none")) {
                checkpoints.merge(event.shard(), position(event.get("seq")), BigInteger::max);
                written++;
            } else if (event.is("started") && checkpoints.containsKey(event.shard())) {
                check(position(event.get("checkpoint")).compareTo(checkpoints.get(event.shard())) >= 0,
                        "a shard was started before its checkpoint", event);
            }
        }
        check(written > 0, "there were no checkpoints", "");
        return "no shard was started before its checkpoint: %d checkpoints".formatted(written);
    }

    String noTrouble() {
        List<Event> trouble = of("trouble");
        check(trouble.isEmpty(), "a worker was refused something", trouble);
        return "the service refused no worker anything: %d checkpoints came after the lease was lost"
                .formatted(of("refused").size());
    }

    List<Event> of(String name) {
        return events.stream().filter(event -> event.is(name)).toList();
    }

    /** Of two places in a shard the later one has the greater position. */
    static BigInteger position(String checkpoint) {
        return switch (checkpoint) {
            case "TRIM_HORIZON" -> BigInteger.ZERO;
            case "SHARD_END" -> BigInteger.TWO.pow(200);
            default -> new BigInteger(checkpoint);
        };
    }

    /** Each of these logs is wrong in one way, and the rule for it has to see that. Answers with their number. */
    int mustRefuse() {
        List<Event> records = of("record");
        Event some = records.get(records.size() / 2);
        Event next = records.stream().filter(event -> event.by().equals(some.by()) && event.shard().equals(some.shard())
                && position(event.get("seq")).compareTo(position(some.get("seq"))) > 0).findFirst().orElseThrow();
        String child = records.stream().map(Event::shard).filter(it -> !parents.get(it).isEmpty()).findFirst().orElseThrow();
        Event first = records.stream().filter(event -> event.shard().equals(child)).findFirst().orElseThrow();
        refuses(Judge::everyRecord, "a record is missing", event -> isSame(event, some) ? null : event);
        refuses(Judge::everyRecord, "a record has other data",
                event -> isSame(event, some) ? with(event, "data", some.get("key") + "/999999") : event);
        refuses(Judge::inOrder, "two records are the wrong way round",
                event -> event == some ? at(some, next) : event == next ? at(next, some) : event);
        refuses(Judge::inOrder, "a record comes twice in one turn", event -> event == next ? at(next, some) : event);
        refuses(Judge::parentsFirst, "a child is read at the start of everything",
                event -> event == first ? new Event(0, event.by(), event.name(), event.fields()) : event);
        refuses(Judge::parentsFirst, "no parent has an end", event -> event.is("ended") ? null : event);
        refuses(Judge::parentsFirst, "a child is never started",
                event -> event.is("started") && event.shard().equals(child) ? null : event);
        refuses(Judge::nothingAfresh, "every shard starts afresh",
                event -> event.is("started") ? with(event, "checkpoint", "TRIM_HORIZON") : event);
        refuses(Judge::noTrouble, "a checkpoint was refused", event ->
                event == some ? new Event(event.at(), event.by(), "trouble", event.fields()) : event);
        return 9;
    }

    private static boolean isSame(Event event, Event other) {
        return event.is("record") && event.shard().equals(other.shard()) && event.get("seq").equals(other.get("seq"));
    }

    /** What one event tells, at the time of another. */
    private static Event at(Event time, Event event) {
        return new Event(time.at(), event.by(), event.name(), event.fields());
    }

    private static Event with(Event event, String field, String value) {
        Map<String, String> fields = new HashMap<>(event.fields());
        fields.put(field, value);
        return new Event(event.at(), event.by(), event.name(), fields);
    }

    private void refuses(Function<Judge, String> rule, String how, UnaryOperator<Event> change) {
        List<Event> broken = events.stream().map(change).filter(Objects::nonNull)
                .sorted(Comparator.comparingLong(Event::at)).toList();
        Checks.refuses("logs in which " + how, () -> rule.apply(new Judge(broken, acknowledged, parents)));
    }
}
