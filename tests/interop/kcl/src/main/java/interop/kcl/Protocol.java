package interop.kcl;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** What the KCL's calls went over, as its clients saw it. */
final class Protocol {
    private Protocol() {}

    /**
     * Kinesis is spoken to in CBOR over HTTP/2, but for SubscribeToShard, for which the SDK speaks JSON even
     * so. Whoever reads as the KCL defaults subscribes, and the other polls.
     */
    static String check(String application, Judge judge) {
        Map<String, Set<String>> types = new TreeMap<>();
        Map<String, Set<String>> versions = new TreeMap<>();
        Set<String> kinesis = new TreeSet<>();
        for (Event event : judge.of("request")) {
            if (!event.get("operation").equals("SubscribeToShard")) {
                types.computeIfAbsent(event.get("service"), it -> new TreeSet<>()).add(event.get("type"));
            }
            if (event.get("service").equals("Kinesis")) {
                kinesis.add(event.get("operation"));
            }
        }
        judge.of("answer").forEach(event ->
                versions.computeIfAbsent(event.get("service"), it -> new TreeSet<>()).add(event.get("http")));
        Checks.check(Set.of("application/x-amz-cbor-1.1").equals(types.get("Kinesis")), "other types", types);
        Checks.check(Set.of("2").equals(versions.get("Kinesis")), "other versions of HTTP", versions);
        boolean polls = application.equals("polling");
        Checks.check(kinesis.contains("GetRecords") == polls && kinesis.contains("SubscribeToShard") != polls,
                "another way of reading", kinesis);
        return "Kinesis was called over HTTP/2 in CBOR: %s; types %s, versions of HTTP %s".formatted(kinesis, types, versions);
    }
}
