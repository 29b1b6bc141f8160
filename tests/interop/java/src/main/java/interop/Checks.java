package interop;

import java.time.Duration;
import java.time.Instant;
import java.util.function.Supplier;

/** What every part of the suite uses: the scenario's numbers, and one line for each check. */
final class Checks {
    private Checks() {}

    static int number(String name) {
        return Integer.parseInt(System.getenv(name));
    }

    /** The first check that does not hold ends the program. */
    static void check(String what, boolean holds, Object detail) {
        if (!holds) {
            throw new AssertionError(what + ": " + detail);
        }
        System.out.println("ok " + what);
    }

    static boolean isNow(Instant time) {
        return Duration.between(time, Instant.now()).abs().toSeconds() < number("CLOCK_SLACK_SECONDS");
    }

    static void pause(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    static void eventually(String what, Supplier<Boolean> probe) {
        Instant deadline = Instant.now().plusSeconds(number("PATIENCE_SECONDS"));
        while (!probe.get()) {
            if (Instant.now().isAfter(deadline)) {
                throw new AssertionError("waited too long for " + what);
            }
            pause(5);
        }
    }
}
