package hashcollision.auth;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * Failed log-ins of one kind (of an account, or from an address): a number of them is free, then nobody may try until the
 * time since the first of them is over. Kept in memory: a service of several replicas would keep them in its database.
 */
final class Attempts {
    /** Keys that are kept at once. Beyond that the oldest is forgotten, so that nobody can fill the memory. */
    static final int MAX_KEYS = 10_000;

    private record Failures(long since, int count) {}

    private final int free;
    private final long windowNanos;
    private final LongSupplier nanoTime;
    private final Map<String, Failures> kept = new LinkedHashMap<>();

    /** {@code nanoTime}: a clock such as {@link System#nanoTime}. */
    Attempts(int free, Duration window, LongSupplier nanoTime) {
        this.free = free;
        this.windowNanos = window.toNanos();
        this.nanoTime = nanoTime;
    }

    /**
     * Counts an attempt as failed before it is made, so that a hundred at the same moment count as a hundred. Returns how
     * long to wait when it may not be made: it does not count then.
     */
    synchronized Optional<Duration> begin(String key) {
        long now = nanoTime.getAsLong();
        Failures failures = kept.get(key);
        if (failures == null || now - failures.since() >= windowNanos) {
            kept.remove(key);
            forgetOldest(now);
            kept.put(key, new Failures(now, 1));
            return Optional.empty();
        }
        if (failures.count() >= free) {
            return Optional.of(Duration.ofNanos(windowNanos - (now - failures.since())));
        }
        kept.put(key, new Failures(failures.since(), failures.count() + 1));
        return Optional.empty();
    }

    /** Takes one attempt back: it was right, or was not made after all. */
    synchronized void takeBack(String key) {
        kept.computeIfPresent(key, (name, failures) ->
                failures.count() > 1 ? new Failures(failures.since(), failures.count() - 1) : null);
    }

    /** Forgets all failures of a key. */
    synchronized void forget(String key) {
        kept.remove(key);
    }

    /** The map is in the order in which windows began: the oldest is the first. */
    private void forgetOldest(long now) {
        var oldest = kept.values().iterator();
        while (oldest.hasNext()) {
            boolean over = now - oldest.next().since() >= windowNanos;
            if (!over && kept.size() < MAX_KEYS) {
                return;
            }
            oldest.remove();
        }
    }
}
