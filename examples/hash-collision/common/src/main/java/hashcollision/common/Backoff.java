package hashcollision.common;

import java.time.Duration;

/**
 * Pauses that double with every failure, up to a limit. Not safe for use by several threads.
 *
 * <p>The first pause is short, because at the start of a lab the other side is usually only moments away.
 */
public final class Backoff {
    private final Duration first;
    private final Duration limit;
    private Duration next;

    public Backoff(Duration first, Duration limit) {
        this.first = first;
        this.limit = limit;
        this.next = first;
    }

    public static Backoff forConnections() {
        return new Backoff(Duration.ofMillis(50), Duration.ofMillis(800));
    }

    public void reset() {
        next = first;
    }

    public void pause() throws InterruptedException {
        Thread.sleep(advance().toMillis());
    }

    /** The pause to make now; the one after it is twice as long. */
    Duration advance() {
        Duration now = next;
        Duration doubled = next.multipliedBy(2);
        next = doubled.compareTo(limit) > 0 ? limit : doubled;
        return now;
    }
}
