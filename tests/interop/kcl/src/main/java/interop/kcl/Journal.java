package interop.kcl;

import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Writes events so that a killed process has lost none of those it wrote, and reads them while others write. */
final class Journal {
    private final String by;
    private final OutputStream out;

    Journal(String by, OutputStream out) {
        this.by = by;
        this.out = out;
    }

    static Journal create(String by, Path file) throws IOException {
        return new Journal(by, Files.newOutputStream(file));
    }

    void note(String name, Object... pairs) {
        write(List.of(Event.now(by, name, pairs)));
    }

    Event event(String name, Object... pairs) {
        return Event.now(by, name, pairs);
    }

    /** One write to the operating system, so that nothing of it is in this process when it dies. */
    synchronized void write(List<Event> events) {
        StringBuilder lines = new StringBuilder();
        events.forEach(event -> lines.append(event).append('\n'));
        try {
            out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
            out.flush();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** Follows a growing file. */
    static final class Reader {
        private final Path file;
        private final List<Event> events = new ArrayList<>();
        private long offset;

        Reader(Path file) {
            this.file = file;
        }

        /** All whole lines until now. */
        synchronized List<Event> events() {
            try (RandomAccessFile from = new RandomAccessFile(file.toFile(), "r")) {
                byte[] fresh = new byte[(int) (from.length() - offset)];
                from.seek(offset);
                from.readFully(fresh);
                String text = new String(fresh, StandardCharsets.UTF_8);
                String whole = text.substring(0, text.lastIndexOf('\n') + 1);
                offset += whole.getBytes(StandardCharsets.UTF_8).length;
                whole.lines().map(Event::parse).forEach(events::add);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
            return List.copyOf(events);
        }
    }
}
