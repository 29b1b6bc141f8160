package interop.kcl;

import java.time.Duration;
import java.time.Instant;
import java.util.function.BooleanSupplier;

/** One line for each check, and waits that end. */
final class Checks {
    static final Duration PATIENCE = Duration.ofSeconds(90);

    private Checks() {}

    static void ok(String what) {
        System.out.println("ok " + what);
    }

    /** The first that does not hold ends the program. */
    static void check(boolean holds, String what, Object detail) {
        if (!holds) {
            throw new AssertionError(what + ": " + detail);
        }
    }

    /** A check that lets through what is wrong checks nothing. */
    static void refuses(String wrong, Runnable check) {
        try {
            check.run();
        } catch (AssertionError refused) {
            return;
        }
        throw new AssertionError("the judge lets pass " + wrong);
    }

    static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    static void eventually(String what, BooleanSupplier probe) {
        Instant deadline = Instant.now().plus(PATIENCE);
        while (!probe.getAsBoolean()) {
            check(Instant.now().isBefore(deadline), "waited too long for", what);
            pause(250);
        }
    }
}
