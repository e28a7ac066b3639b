package hashcollision.common;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Whether everything that a service depends on is there. */
public final class Health {
    /** {@code STARTING} until all dependencies were there once; {@code DEGRADED} when one has gone since. */
    public enum Status { STARTING, OK, DEGRADED }

    /** The answer of a health path. */
    public record Report(String status, String service, String build) {}

    private final Map<String, Boolean> dependencies = new ConcurrentHashMap<>();
    private volatile boolean wasComplete;

    /** Names a dependency, which counts as absent until {@link #set} says otherwise. */
    public void expect(String dependency) {
        dependencies.putIfAbsent(dependency, false);
    }

    public void set(String dependency, boolean present) {
        dependencies.put(dependency, present);
        if (!dependencies.containsValue(false)) {
            wasComplete = true;
        }
    }

    public Status status() {
        if (!dependencies.containsValue(false)) {
            return Status.OK;
        }
        return wasComplete ? Status.DEGRADED : Status.STARTING;
    }
}
