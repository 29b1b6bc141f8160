package interop.kcl;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/** The workers of one application, each a process with a log of events and one of the KCL's messages. */
final class Fleet {
    /** A worker, and what it has told so far. */
    record Member(String id, Process process, Journal.Reader log, Path messages) {
        Set<String> holds() {
            Set<String> shards = new TreeSet<>();
            for (Event event : log.events()) {
                if (event.is("started")) {
                    shards.add(event.shard());
                } else if (event.is("lost") || event.is("ended")) {
                    shards.remove(event.shard());
                }
            }
            return shards;
        }
    }

    private static final long STOP_SECONDS = 70;

    private final String application;
    private final String stream;
    private final Path logs;
    private final Journal journal;
    private final Map<String, Member> members = new LinkedHashMap<>();
    private final Set<String> gone = new TreeSet<>();

    Fleet(String application, String stream, Path logs, Journal journal) {
        this.application = application;
        this.stream = stream;
        this.logs = logs;
        this.journal = journal;
    }

    String application() {
        return application;
    }

    void start(String name) throws IOException {
        String mode = application.equals("polling") ? "polling" : "default";
        start(name, List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                "-cp", System.getProperty("java.class.path"), Worker.class.getName()), mode);
    }

    /** A worker that is another program, which is told the same. */
    void start(String name, List<String> program, String mode) throws IOException {
        String id = application + "-" + name;
        Path log = logs.resolve(id + ".events.log");
        Path messages = logs.resolve(id + ".kcl.log");
        Files.createFile(log);
        List<String> command = new ArrayList<>(program);
        command.addAll(List.of(stream, application, id, mode));
        Process process = new ProcessBuilder(command)
                .redirectOutput(log.toFile()).redirectError(messages.toFile()).start();
        members.put(id, new Member(id, process, new Journal.Reader(log), messages));
        journal.note("start", "worker", id);
    }

    /** SIGTERM, and waits for the end of it. */
    void stop(String id) throws InterruptedException {
        journal.note("sigterm", "worker", id);
        gone.add(id);
        Process process = members.get(id).process();
        process.destroy();
        Checks.check(process.waitFor(STOP_SECONDS, TimeUnit.SECONDS), "a worker does not stop", id);
    }

    /** SIGKILL. */
    void kill(String id) throws InterruptedException {
        journal.note("sigkill", "worker", id);
        gone.add(id);
        members.get(id).process().destroyForcibly().waitFor();
    }

    List<Member> live() {
        return members.values().stream().filter(member -> !gone.contains(member.id())).toList();
    }

    Member member(String id) {
        return members.get(id);
    }

    /** All that all have told, in the order of time. */
    List<Event> events() {
        List<Event> events = new ArrayList<>();
        members.values().forEach(member -> events.addAll(member.log().events()));
        events.sort(Comparator.comparingLong(Event::at));
        return events;
    }

    /** Whether live workers have read records of each of these shards since a time. */
    boolean isReading(Set<String> shards, long since) {
        Set<String> read = new TreeSet<>();
        for (Member member : live()) {
            for (Event event : member.log().events()) {
                if (event.is("record") && event.at() > since) {
                    read.add(event.shard());
                }
            }
        }
        return read.containsAll(shards);
    }

    /** Whether all of this was processed, by whomever. */
    boolean hasProcessed(Set<Producer.Place> all) {
        Set<Producer.Place> places = new HashSet<>(all);
        for (Event event : events()) {
            if (event.is("record")) {
                places.remove(new Producer.Place(event.shard(), event.get("seq")));
            }
        }
        return places.isEmpty();
    }

    void killAll() {
        members.values().forEach(member -> member.process().destroyForcibly());
    }

    void areAlive() {
        for (Member member : live()) {
            Checks.check(member.process().isAlive(), "a worker has ended by itself", member.messages());
        }
    }
}
