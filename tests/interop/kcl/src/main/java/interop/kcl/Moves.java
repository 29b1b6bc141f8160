package interop.kcl;

import static interop.kcl.Checks.check;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;

/** How shards went from one worker to another: handed over, after a stop, and after a kill. */
final class Moves {
    /** The table is looked at a few times a second, so what happened there is seen up to so much later. */
    private static final long SEEN_LATE_MICROS = 500_000;

    private final List<Event> events;
    private final Set<String> parents;

    /** What the workers told, in the order of time, and the shards that have children. */
    Moves(List<Event> events, Set<String> parents) {
        this.events = events;
        this.parents = parents;
    }

    /**
     * Shards that a living worker was asked to give up, gave up and that another then started, where the
     * table showed both as owners.
     */
    String handedOver(Map<String, List<Table.Row>> seen, long until) {
        int inTable = 0;
        for (List<Table.Row> history : seen.values()) {
            inTable += (int) history.stream().filter(row -> row.text("checkpointOwner") != null
                            && !row.text("checkpointOwner").equals(row.text("leaseOwner")))
                    .map(row -> row.text("checkpointOwner")).distinct().count();
        }
        List<Long> millis = new ArrayList<>();
        for (Event request : events) {
            if (!request.is("requested") || request.at() > until) {
                continue;
            }
            Optional<Event> next = startOfOther(request);
            if (next.isPresent() && lostBetween(request, next.get()) && next.get().at() < until
                    && !startedAgain(request, next.get())) {
                check(request.get("last").equals("none") || request.get("last").equals(next.get().get("checkpoint")),
                        "a shard was handed over elsewhere than it was left", List.of(request, next.get()));
                millis.add((next.get().at() - request.at()) / 1000);
            }
        }
        check(inTable > 0, "no row ever had two owners", seen.keySet());
        check(!millis.isEmpty(), "no worker was asked to hand over a shard", "");
        return "shards were handed over gracefully: %d of them, each where it was left, in %s ms; %d seen with two owners"
                .formatted(millis.size(), millis, inTable);
    }

    /** Shards that a living worker lost to another, which is how the 2.x line balances. */
    String taken(long until) {
        List<Long> millis = new ArrayList<>();
        for (Event loss : events) {
            if (loss.is("lost") && loss.at() < until) {
                startOfOther(loss, loss.at() - 10_000_000).ifPresent(next -> millis.add((next.at() - loss.at()) / 1000));
            }
        }
        check(!millis.isEmpty(), "no worker took a shard from another", "");
        return "a worker that joins takes shards: %d, started %s ms after the other lost them".formatted(millis.size(), millis);
    }

    /**
     * After SIGTERM: each shard's processor is told, checkpoints and comes to its end, and nothing of it comes again.
     *
     * <p>That the KCL itself then reports the end is not asked of it. It counts every lease that the worker holds,
     * also those whose shard was finished and those it was given at that moment (a 3.x leader balances with finished
     * ones too). Where it has made a consumer for such a shard but no processor, nothing ever counts it down:
     * "Waiting for 1 record process to complete shutdown notification", until the program gives up.
     *
     * <p>Without a leader, another worker may take a shard's lease just before its owner is told to stop. Then
     * the owner's checkpoint must be refused, and the other goes on from the one before.
     */
    String afterStop(Event stop, Map<String, List<Table.Row>> seen) {
        String worker = stop.get("worker");
        Set<String> held = held(worker, stop.at());
        check(!held.isEmpty(), "the worker that was stopped had no shard", worker);
        List<Event> outcome = of("stopped", worker);
        check(outcome.size() == 1 && Set.of("true", "late").contains(outcome.get(0).get("graceful")),
                "a worker did not stop as it should", outcome);
        List<Long> millis = new ArrayList<>();
        int taken = 0;
        for (String shard : held) {
            Optional<Event> request = lastOf("requested", worker, shard, Long.MAX_VALUE)
                    .filter(event -> event.at() > lastOf("started", worker, shard, stop.at()).orElseThrow().at());
            if (request.isEmpty() && parents.contains(shard)) {
                continue; // It came to its end at that moment.
            }
            check(request.isPresent(), "a worker that stops was not told of a shard", shard);
            check(of("lost", worker).stream().anyMatch(event -> event.shard().equals(shard)
                            && event.at() > request.get().at() && event.at() < outcome.get(0).at()),
                    "a processor did not come to its end when its worker stopped", request.get());
            Event next = startOfOther(request.get()).orElseThrow(() -> new AssertionError("nobody took over " + shard));
            String last = request.get().get("last");
            if (wasTaken(request.get(), next, seen)) {
                taken++;
            } else {
                check(last.equals("none") || last.equals(next.get("checkpoint")),
                        "a shard that was stopped goes on elsewhere", List.of(request.get(), next));
            }
            millis.add((next.at() - stop.at()) / 1000);
        }
        check(taken < held.size(), "every shard was taken from the worker that stopped", held);
        return "%s was stopped gracefully%s and others went on where it was: %d shards, after %s ms; %d taken before"
                .formatted(worker, outcome.get(0).get("graceful").equals("true") ? ""
                        : ", waited in vain for shards that have no processor,", millis.size(), millis, taken);
    }

    /**
     * Whether the answer to the last checkpoint was that the lease is gone, and the table showed it with the
     * next owner by then: a lease that was only given up would lie free until the next owner's next look.
     */
    private boolean wasTaken(Event request, Event next, Map<String, List<Table.Row>> seen) {
        Optional<Event> answer = events.stream().filter(event -> event.by().equals(request.by())
                && (event.is("checkpointed") || event.is("refused")) && event.shard().equals(request.shard())
                && event.at() >= request.at()).findFirst();
        return !Tuning.HAS_LEADER && answer.filter(event -> event.is("refused")).isPresent()
                && seen.getOrDefault(request.shard(), List.of()).stream().anyMatch(row ->
                        next.by().equals(row.text("leaseOwner")) && row.at() < answer.get().at() + SEEN_LATE_MICROS);
    }

    /** After SIGKILL: others take over all of it. */
    String afterKill(Event kill) {
        String worker = kill.get("worker");
        Set<String> held = held(worker, kill.at());
        check(!held.isEmpty(), "the worker that was killed had no shard", worker);
        check(of("stopping", worker).isEmpty(), "the worker that was killed knew of it", worker);
        List<Long> millis = new ArrayList<>();
        for (String shard : held) {
            Event next = events.stream().filter(event -> event.is("started") && event.shard().equals(shard)
                    && !event.by().equals(worker) && event.at() > kill.at()).findFirst()
                    .orElseThrow(() -> new AssertionError("nobody took over " + shard));
            millis.add((next.at() - kill.at()) / 1000);
        }
        return "%s was killed and others took over: %d shards, after %s ms".formatted(worker, millis.size(), millis);
    }

    /** Each of these logs is wrong in one way. */
    int mustRefuse(Map<String, List<Table.Row>> seen, Event stop, Event kill) {
        Moves without = without(event -> event.is("requested"));
        Moves ungraceful = without(event -> event.is("stopped"));
        Moves unending = without(event -> event.is("lost"));
        Moves abandoned = without(event -> event.is("started") && event.at() > stop.at());
        Moves orphaned = without(event -> event.is("started") && event.at() > kill.at());
        Moves afresh = new Moves(events.stream().map(event -> event.is("started") && event.at() > stop.at()
                ? new Event(event.at(), event.by(), event.name(), Map.of("shard", event.shard(), "checkpoint", "TRIM_HORIZON"))
                : event).toList(), parents);
        Checks.refuses("a hand-over nobody was asked for", () -> without.handedOver(seen, stop.at()));
        Checks.refuses("a hand-over the table never showed", () -> handedOver(Map.of(), stop.at()));
        Moves refused = new Moves(afresh.events.stream().map(event -> event.is("checkpointed") && event.at() > stop.at()
                ? new Event(event.at(), event.by(), "refused", event.fields()) : event).toList(), parents);
        Checks.refuses("a stop that told no processor", () -> without.afterStop(stop, seen));
        Checks.refuses("a stop that was not graceful", () -> ungraceful.afterStop(stop, seen));
        Checks.refuses("a stop after which a processor went on", () -> unending.afterStop(stop, seen));
        Checks.refuses("a stop after which nobody went on", () -> abandoned.afterStop(stop, seen));
        Checks.refuses("a stop after which all came again", () -> afresh.afterStop(stop, seen));
        Checks.refuses("a stop that was refused its checkpoints", () -> refused.afterStop(stop, seen));
        Checks.refuses("a kill after which nobody went on", () -> orphaned.afterKill(kill));
        return 9;
    }

    private Moves without(Predicate<Event> what) {
        return new Moves(events.stream().filter(what.negate()).toList(), parents);
    }

    /** What a worker held at a time. */
    private Set<String> held(String worker, long at) {
        Set<String> held = new TreeSet<>();
        for (Event event : events) {
            if (event.by().equals(worker) && event.at() <= at) {
                if (event.is("started")) {
                    held.add(event.shard());
                } else if (event.is("lost") || event.is("ended")) {
                    held.remove(event.shard());
                }
            }
        }
        return held;
    }

    private Optional<Event> startOfOther(Event before) {
        return startOfOther(before, before.at());
    }

    /** The next start of the event's shard by another worker. */
    private Optional<Event> startOfOther(Event before, long after) {
        return events.stream().filter(event -> event.is("started") && event.shard().equals(before.shard())
                && !event.by().equals(before.by()) && event.at() > after).findFirst();
    }

    private boolean lostBetween(Event request, Event next) {
        return of("lost", request.by()).stream().anyMatch(event -> event.shard().equals(request.shard())
                && event.at() >= request.at() && event.at() <= next.at() + 10_000_000);
    }

    /** Whether a worker got back what it was asked to give up, before another had it. */
    private boolean startedAgain(Event request, Event next) {
        return of("started", request.by()).stream().anyMatch(event -> event.shard().equals(request.shard())
                && event.at() > request.at() && event.at() < next.at());
    }

    private Optional<Event> lastOf(String name, String worker, String shard, long until) {
        return of(name, worker).stream().filter(event -> event.shard().equals(shard) && event.at() <= until)
                .reduce((one, later) -> later);
    }

    private List<Event> of(String name, String worker) {
        return events.stream().filter(event -> event.is(name) && event.by().equals(worker)).toList();
    }
}
