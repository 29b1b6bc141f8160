package interop.kcl;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One line of a log: microseconds since 1970, a name, and fields. All processes are on one machine, so
 * their clocks are one.
 */
record Event(long at, String by, String name, Map<String, String> fields) {
    static Event now(String by, String name, Object... pairs) {
        Map<String, String> fields = new LinkedHashMap<>();
        for (int index = 0; index < pairs.length; index += 2) {
            fields.put((String) pairs[index], String.valueOf(pairs[index + 1]).replaceAll("\\s+", "_"));
        }
        return new Event(ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()), by, name, fields);
    }

    static Event parse(String line) {
        String[] words = line.split(" ");
        Map<String, String> fields = new LinkedHashMap<>();
        for (int index = 3; index < words.length; index++) {
            String[] pair = words[index].split("=", 2);
            fields.put(pair[0], pair[1]);
        }
        return new Event(Long.parseLong(words[0]), words[1], words[2], fields);
    }

    boolean is(String wanted) {
        return name.equals(wanted);
    }

    String get(String field) {
        return fields.get(field);
    }

    String shard() {
        return fields.get("shard");
    }

    @Override
    public String toString() {
        StringBuilder line = new StringBuilder().append(at).append(' ').append(by).append(' ').append(name);
        fields.forEach((field, value) -> line.append(' ').append(field).append('=').append(value));
        return line.toString();
    }
}
